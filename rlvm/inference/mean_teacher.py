"""Mean Teacher: a student is drawn to the predictions of its own running average.

The teacher is part of `extra`: it holds no gradient and moves once a step.
"""

import jax
import jax.numpy as jnp

from rlvm.types import Array, PyTree


def update_teacher(teacher: PyTree, student: PyTree, step: Array, decay: float) -> PyTree:
    """decay * teacher + (1 - decay) * student, with a shorter memory in the first steps.

    The decay of step s is min(decay, 1 - 1/(s + 1)): the first teacher is the first student.
    """
    keep = jnp.minimum(decay, 1.0 - 1.0 / (jnp.asarray(step, jnp.float32) + 1.0))
    return jax.tree.map(lambda old, new: keep * old + (1.0 - keep) * new, teacher, student)


def consistency_cost(student: Array, teacher: Array) -> Array:
    """Squared distance of the class probabilities, no gradient to the teacher: [B, C] -> [B]."""
    target = jax.lax.stop_gradient(jax.nn.softmax(teacher))
    return jnp.square(jax.nn.softmax(student) - target).sum(-1)


def ramp_up(step: Array, length: float) -> Array:
    """Weight of the consistency cost: exp(-5 (1 - step / length)^2), 1 from step `length` on."""
    progress = jnp.clip(jnp.asarray(step, jnp.float32) / length, 0.0, 1.0)
    return jnp.exp(-5.0 * jnp.square(1.0 - progress))
