"""A scan over time whose backward pass keeps the states of a few steps only."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rlvm.types import Array, PyTree

Step = Callable[[PyTree, PyTree], tuple[PyTree, PyTree]]


def scan(
    step: Step, carry: PyTree, inputs: PyTree, segment: int = 0, reverse: bool = False
) -> tuple[PyTree, PyTree]:
    """`jax.lax.scan`; with `segment` > 1 in segments of that many steps that are run twice.

    What a step keeps for its gradient is kept for one segment at a time, and the carry at the start
    of each: for T steps memory of order T / segment + segment, least at segment = sqrt(T), for one
    more forward pass.
    """
    if segment < 2:
        return jax.lax.scan(step, carry, inputs, reverse=reverse)
    length = jax.tree.leaves(inputs)[0].shape[0]
    count, whole = length // segment, length // segment * segment

    @jax.checkpoint
    def run(carry, inputs):
        return jax.lax.scan(step, carry, inputs, reverse=reverse)

    def segments(carry, inputs):
        split = jax.tree.map(lambda x: x.reshape(count, segment, *x.shape[1:]), inputs)
        carry, outputs = jax.lax.scan(run, carry, split, reverse=reverse)
        return carry, jax.tree.map(lambda y: y.reshape(whole, *y.shape[2:]), outputs)

    # Steps beyond the last whole segment are the latest ones: first in reverse, else last.
    parts = [(segments, slice(0, whole)), (run, slice(whole, length))]
    outputs = []
    for go, steps in parts[::-1] if reverse else parts:
        carry, found = go(carry, jax.tree.map(lambda x, steps=steps: x[steps], inputs))
        outputs.append(found)
    outputs = outputs[::-1] if reverse else outputs
    return carry, jax.tree.map(joined, *outputs)


def joined(first: Array, second: Array) -> Array:
    """Outputs of the first steps and of the rest."""
    return jnp.concatenate([first, second])
