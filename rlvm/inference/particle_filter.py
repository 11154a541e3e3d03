"""Sequential Monte Carlo: filtering means and an unbiased estimate of the evidence p(x_1:T).

A model says how particles start and move (`ParticleSteps`); bootstrap and guided proposals differ
only in the weights they return. All examples and particles advance together in one scan.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from rlvm.types import Array, Batch, PyTree, Terms


class ParticleSteps(Protocol):
    """How N particles for each of B examples start and move; leading axes [N, B]."""

    inputs: Any  # a pytree whose leaves have T-1 as first axis, for steps 2..T

    def first(self, rng: Array, num_particles: int) -> tuple[PyTree, Array]:
        """Particles of step 1 and log p(x_1, z_1) / q(z_1): [N, B]; `rng` is [B]."""
        ...

    def next(self, rng: Array, particles: PyTree, inputs: PyTree) -> tuple[PyTree, Array]:
        """Particles of step t and log p(x_t, z_t | z_{t-1}) / q(z_t | z_{t-1}): [N, B]."""
        ...


@runtime_checkable
class Filterable(Protocol):
    """A model that can be filtered."""

    def filter_steps(self, batch: Batch, guided: bool) -> ParticleSteps:
        """Moves of the bootstrap filter, or with `guided` from the model's own posterior."""
        ...


class Filtered(NamedTuple):
    """What a filter knows at the end, and its weighted means on the way."""

    log_evidence: Array  # [B]
    log_increments: Array  # [B, T], log p^(x_t | x_1:t-1)
    means: PyTree  # leaves [B, T, ...], E[particle | x_1:t]
    effective_sizes: Array  # [B, T], 1 / sum w^2 after each step
    particles: PyTree  # leaves [N, B, ...], after the last step
    log_weights: Array  # [N, B], normalised


def systematic(rng: Array, num: int) -> Array:
    """One uniform for all strata: (i + u) / N."""
    return (jnp.arange(num) + jax.random.uniform(rng)) / num


def stratified(rng: Array, num: int) -> Array:
    """One uniform in each stratum: (i + u_i) / N."""
    return (jnp.arange(num) + jax.random.uniform(rng, (num,))) / num


def multinomial(rng: Array, num: int) -> Array:
    """Independent uniforms."""
    return jax.random.uniform(rng, (num,))


SCHEMES = {"systematic": systematic, "stratified": stratified, "multinomial": multinomial}


def ancestors(rng: Array, log_weights: Array, num: int, scheme: str = "systematic") -> Array:
    """Indices [num, B] drawn in proportion to the weights [N, B]; `rng` is [B]."""
    if scheme not in SCHEMES:
        raise ValueError(f"No resampling '{scheme}'. Schemes: {', '.join(SCHEMES)}.")

    def draw(key, log_weights):
        edges = jnp.cumsum(jax.nn.softmax(log_weights))
        positions = SCHEMES[scheme](key, num) * edges[-1]
        index = jnp.searchsorted(edges, positions, side="right")
        return jnp.minimum(index, log_weights.shape[0] - 1)

    return jax.vmap(draw, in_axes=(0, 1), out_axes=1)(rng, log_weights)


def take(particles: PyTree, index: Array) -> PyTree:
    """The particles that `index` [M, B] names, from leaves [N, B, ...]."""

    def one(leaf):
        return jnp.take_along_axis(
            leaf, index.reshape(index.shape + (1,) * (leaf.ndim - 2)), axis=0
        )

    return jax.tree.map(one, particles)


def effective_size(log_weights: Array) -> Array:
    """1 / sum w^2 of normalised log weights [N, B]: [B]."""
    return jnp.exp(-jax.nn.logsumexp(2.0 * log_weights, axis=0))


def weighted_means(particles: PyTree, log_weights: Array) -> PyTree:
    """sum_n w_n particle_n of leaves [N, B, ...]: [B, ...]."""
    weights = jnp.exp(log_weights)
    return jax.tree.map(lambda leaf: jnp.einsum("nb,nb...->b...", weights, leaf), particles)


def particle_filter(
    steps: ParticleSteps,
    rng: Array,
    num_particles: int,
    scheme: str = "systematic",
    threshold: float = 0.5,
) -> Filtered:
    """Filter all examples, resampling one whose effective size is below `threshold` N.

    `exp(log_evidence)` is unbiased for p(x_1:T); its logarithm is not (biased downward).
    """
    uniform = -jnp.log(num_particles)

    def weigh(particles, log_weights, log_ratios):
        total = log_weights + log_ratios
        increment = jax.nn.logsumexp(total, axis=0)
        log_weights = total - increment
        report = (increment, weighted_means(particles, log_weights), effective_size(log_weights))
        return (particles, log_weights), report

    def advance(carry, inputs):
        particles, log_weights = carry
        t, inputs = inputs
        move, choose = step_keys(rng, t)
        poor = effective_size(log_weights) < threshold * num_particles  # [B]
        index = ancestors(choose, log_weights, num_particles, scheme)
        index = jnp.where(poor, index, jnp.arange(num_particles)[:, None])
        log_weights = jnp.where(poor, uniform, log_weights)
        particles, log_ratios = steps.next(move, take(particles, index), inputs)
        return weigh(particles, log_weights, log_ratios)

    particles, log_ratios = steps.first(step_keys(rng, 0)[0], num_particles)
    carry, start = weigh(particles, jnp.full_like(log_ratios, uniform), log_ratios)
    num_later = jax.tree.leaves(steps.inputs)[0].shape[0]
    carry, later = jax.lax.scan(advance, carry, (1 + jnp.arange(num_later), steps.inputs))
    increments, means, sizes = jax.tree.map(with_first, start, later)
    return Filtered(jnp.sum(increments, axis=-1), increments, means, sizes, *carry)


def step_keys(rng: Array, t: Array | int) -> tuple[Array, Array]:
    """Keys [B] of step t: one to move, one to resample."""
    keys = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, t)))(rng)
    return keys[:, 0], keys[:, 1]


def with_first(first: Array, later: Array) -> Array:
    """Step 1 [B, ...] before steps 2..T [T-1, B, ...]: [B, T, ...]."""
    return jnp.moveaxis(jnp.concatenate([first[None], later], axis=0), 0, 1)


def evidence(
    model: Filterable, batch: Batch, rng: Array, num_samples: int, guided: bool = False
) -> Terms:
    """-log p^(x_1:T) [B] by a filter of `num_samples` particles: above -log p(x) on average."""
    filtered = particle_filter(model.filter_steps(batch, guided), rng, num_samples)
    return {"nll": -filtered.log_evidence}
