"""Estimators of log p(x) over the three distributions: bound, importance sampling, exact sum."""

import math

import jax
import jax.numpy as jnp

from rlvm.inference.estimators import detached
from rlvm.inference.objectives import (
    code_lengths,
    fold_in_samples,
    sample_code_lengths,
    sample_keys,
    summarize,
)
from rlvm.types import Array, Batch, Density, LatentVariable, Terms

MAX_EXACT_UNITS = 16


def density(model: Density, batch: Batch, rng: Array) -> Terms:
    """The NLL of a model without latents, which takes no noise: [B], in nats."""
    del rng
    return {"nll": -model.log_prob(batch)}


def bound(model: LatentVariable, batch: Batch, rng: Array, num_samples: int = 1) -> Terms:
    """Mean code lengths over S posterior samples: [B] each, in nats."""
    return summarize(sample_code_lengths(model, batch, detached, sample_keys(rng, num_samples)))


def importance(
    model: LatentVariable, batch: Batch, rng: Array, num_samples: int, chunk: int = 10
) -> Terms:
    """-log (1/S) sum_s p(x, h_s) / q(h_s|x) (eq. 16), streamed in chunks of samples.

    Returns `nll` [B], the same at S/10 samples as `nll_tenth`, and the mean code lengths. The
    estimate is above -log p(x) by about Var(w) / (2 S p^2), so `nll_tenth` shows its bias.
    """
    chunk = math.gcd(chunk, num_samples)
    num_chunks, tenth = num_samples // chunk, max(num_samples // 10, 1)

    def lengths(index):
        samples = index * chunk + jnp.arange(chunk)
        z, log_q = model.posterior(batch).sample_with(detached, fold_in_samples(rng, samples))
        return samples, code_lengths(model, batch, z, log_q)

    def add_chunk(carry, index):
        log_sum, log_sum_tenth, sums = carry
        samples, parts = lengths(index)
        log_weights = -(parts["distortion"] + parts["rate"])  # [chunk, B]
        early = jnp.where((samples < tenth)[:, None], log_weights, -jnp.inf)
        log_sum = jnp.logaddexp(log_sum, jax.nn.logsumexp(log_weights, axis=0))
        log_sum_tenth = jnp.logaddexp(log_sum_tenth, jax.nn.logsumexp(early, axis=0))
        sums = jax.tree.map(lambda a, b: a + b / num_chunks, sums, summarize(parts))
        return (log_sum, log_sum_tenth, sums), None

    empty = jnp.full(rng.shape, -jnp.inf)
    shapes = jax.eval_shape(lambda: summarize(lengths(0)[1]))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape), shapes)
    (log_sum, log_sum_tenth, terms), _ = jax.lax.scan(
        add_chunk, (empty, empty, zeros), jnp.arange(num_chunks)
    )
    nll, nll_tenth = jnp.log(num_samples) - log_sum, jnp.log(tenth) - log_sum_tenth
    return {**terms, "nll": nll, "nll_tenth": nll_tenth}


def enumerate_bits(start: Array, count: int, units: int) -> Array:
    """The binary vectors number start .. start + count - 1: [count, units], unit 0 fastest."""
    numbers = start + jnp.arange(count)
    return ((numbers[:, None] >> jnp.arange(units)) & 1).astype(jnp.float32)


def exact(model: LatentVariable, batch: Batch, units: int, block: int = 256) -> Array:
    """-log sum_h p(x, h) over all 2^units binary h, in blocks of h: [B], in nats."""
    if units > MAX_EXACT_UNITS:
        raise ValueError(
            f"The exact likelihood sums over 2^{units} latent vectors; it is offered for at most "
            f"{MAX_EXACT_UNITS} stochastic units. Use --estimator=importance."
        )
    count = min(block, 2**units)

    def add_block(log_sum, index):
        h = enumerate_bits(index * count, count, units)
        table = model.likelihood(h, batch).log_prob_table(batch["x"])  # [H, B]
        log_joint = table + model.prior(batch).log_prob(h)[:, None]
        return jnp.logaddexp(log_sum, jax.nn.logsumexp(log_joint, axis=0)), None

    empty = jnp.full(batch["x"].shape[:1], -jnp.inf)
    log_sum, _ = jax.lax.scan(add_block, empty, jnp.arange(2**units // count))
    return -log_sum
