"""The bound on long sequences with memory of order sqrt(T), beside x, u and noise themselves.

Time is cut into segments. Each is run for the state at its end, and once more, one at a time, when
its gradient is due; a feature network that runs backward leaves its state at their ends before.
"""

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

from rlvm.models.ssm.emission import SequenceLikelihood
from rlvm.models.ssm.inference import Observed, observed
from rlvm.models.ssm.noise import normals
from rlvm.models.ssm.paths import time_first
from rlvm.models.ssm.transition import lagged
from rlvm.nn.recurrent import Starts
from rlvm.types import Array, Batch, PyTree, Terms

if TYPE_CHECKING:
    from rlvm.models.ssm.model import StateSpaceModel


class Steps(NamedTuple):
    """All that steps are made of, time first; leaves [T, ...], or cut into segments [S, L, ...]."""

    seen: Observed
    controls: Array | None  # u_{t-1}: [T, B, U]
    noise: Array  # [T, ..., B, Z]
    is_first: Array  # [T], true at t = 1


def code_lengths(model: "StateSpaceModel", batch: Batch, rng: Array) -> Terms:
    """Distortion and rate of a posterior path for each key [..., B], as `StateSpaceModel`'s."""
    steps = all_steps(model, batch, rng)
    segments = cut(steps, model.segment)
    starts = model.inverse.starts(segments.seen)
    z, rate = first_state(model, steps, jax.tree.map(lambda a: a[0], (segments, starts)))

    @jax.checkpoint
    def run(carry, inputs):
        z, memory, distortion, rate = carry
        (z, memory), more = run_segment(model, z, memory, *inputs)
        return (z, memory, distortion + more["distortion"], rate + more["rate"]), None

    carry = (z, model.start_memory(z), jnp.zeros(rng.shape), rate)
    (*_, distortion, rate), _ = jax.lax.scan(run, carry, (segments, starts))
    return {"distortion": distortion, "rate": rate}


def all_steps(model: "StateSpaceModel", batch: Batch, rng: Array) -> Steps:
    """The steps of a batch, and noise for each key of `rng` [..., B]."""
    seen = observed(batch)
    controls = time_first(lagged(batch["u"])) if model.control_dim else None
    noise = time_first(normals(rng, (len(seen.x), model.state_dim)))
    return Steps(seen, controls, noise, jnp.arange(len(seen.x)) == 0)


def cut(steps: Steps, segment: int) -> Steps:
    """Leaves [T, ...] as [S, L, ...]; what fills the last segment lies after every sequence."""

    def one(leaf):
        filled = jnp.pad(leaf, [(0, -len(leaf) % segment), *[(0, 0)] * (leaf.ndim - 1)])
        return filled.reshape(-1, segment, *leaf.shape[1:])

    return jax.tree.map(one, steps)


def first_state(
    model: "StateSpaceModel", steps: Steps, segment: tuple[Steps, Starts]
) -> tuple[Array, Array]:
    """z_1 [..., B, Z] and its rate [..., B]; `segment` is the first one, with its starts."""

    @jax.checkpoint
    def first_feature(part, starts):
        return model.inverse.steps(part.seen, starts)[0]

    projected = model.inverse.project_first(steps.seen, first_feature(*segment))
    mean, scale = model.infer_initial(projected)
    variable = mean + scale * steps.noise[0]
    z = variable if model.initial_inference == "state" else model.push_initial(variable)
    mean, scale = jnp.broadcast_to(mean, z.shape), jnp.broadcast_to(scale, z.shape)
    return z, jnp.where(steps.seen.valid[0], model.first_rate(mean, scale, z), 0.0)


def run_segment(
    model: "StateSpaceModel", z: Array, memory: Array | None, steps: Steps, starts: Starts
) -> tuple[PyTree, Terms]:
    """The last state and memory of a segment, and what its steps cost; z_1 comes as `z`."""
    features = model.inverse.rest.project(model.inverse.steps(steps.seen, starts))
    controls = model.dynamics.project(steps.controls)

    def step(carry, inputs):
        z, memory = carry
        is_first, eta, features, controls = inputs
        remembered = model.remember(memory, z)
        drawn, _, mean, scale = model.infer_step(z, remembered, eta, features, controls)
        later = (drawn, remembered)
        now = jax.tree.map(lambda a, b: jnp.where(is_first, a, b), carry, later)
        return now, (z, now[0], mean, scale)

    inputs = (steps.is_first, steps.noise, features, controls)
    carry, (last, states, mean, scale) = jax.lax.scan(step, (z, memory), inputs)

    def beside(a):  # [L, B, ...] -> [L, 1, ..., B, ...], against leading sample axes
        return None if a is None else a.reshape(len(a), *[1] * (states.ndim - 3), *a.shape[1:])

    valid, x = beside(steps.seen.valid), beside(steps.seen.x)
    is_later = valid & ~steps.is_first.reshape(-1, *[1] * (states.ndim - 2))
    rates = model.later_rates(mean, scale, last, beside(controls))
    log_probs = SequenceLikelihood(model.emit(states), valid).log_prob_steps(x)
    rate = jnp.sum(jnp.where(is_later, rates, 0.0), axis=0)
    return carry, {"distortion": -jnp.sum(log_probs, axis=0), "rate": rate}
