"""Forecasts by filtering a prefix and sampling futures, and the scores of a sample of futures.

Scores take samples [S, ...] of what was then observed, `truth` [...], and are computed in float64.
"""

from typing import Protocol

import jax
import numpy as np
from scipy.stats import gaussian_kde

from rlvm.inference.objectives import sample_keys
from rlvm.inference.particle_filter import ParticleSteps, ancestors, particle_filter, take
from rlvm.types import Array, Batch, Distribution


class Forecaster(Protocol):
    """A model that can be filtered and run on from a state."""

    def filter_steps(self, batch: Batch, guided: bool) -> ParticleSteps:
        """Moves of a particle filter on `batch`."""
        ...

    def continue_from(self, states: Array, prefix: int, batch: Batch, rng: Array) -> Distribution:
        """The observations after `prefix` steps, one future for each key of `rng`."""
        ...


def check_prefix(prefix: int, num_timesteps: int) -> None:
    """Refuse a prefix that leaves nothing to filter or nothing to forecast."""
    if not 1 <= prefix < num_timesteps:
        raise ValueError(
            f"A prefix of {prefix} came for sequences of {num_timesteps} steps; "
            f"expected 1 to {num_timesteps - 1}."
        )


def prefix_of(batch: Batch, prefix: int) -> dict[str, Array]:
    """The first `prefix` steps of x and u, with lengths cut to match."""
    cut = {name: batch[name][:, :prefix] for name in ("x", "u") if name in batch}
    if "lengths" in batch:
        cut["lengths"] = batch["lengths"].clip(max=prefix)
    return {**batch, **cut}


def forecast(
    model: Forecaster, batch: Batch, rng: Array, prefix: int, num_samples: int, num_particles: int
) -> Array:
    """Samples of p(x_k+1:T | x_1:k, u_1:T), k = `prefix`: [S, B, T - k, D] (section 5).

    The state after the prefix comes from a bootstrap particle filter; the controls beyond the
    prefix are those of `batch`.
    """
    check_prefix(prefix, batch["x"].shape[1])
    rng_filter, rng_choose, rng_state, rng_emit = jax.vmap(jax.random.split, (0, None), 1)(rng, 4)
    steps = model.filter_steps(prefix_of(batch, prefix), False)
    filtered = particle_filter(steps, rng_filter, num_particles)
    index = ancestors(rng_choose, filtered.log_weights, num_samples)
    states = take(filtered.particles, index)["states"]  # [S, B, Z]
    future = model.continue_from(states, prefix, batch, sample_keys(rng_state, num_samples))
    return future.sample(sample_keys(rng_emit, num_samples))


def crps(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score E|X - y| - E|X - X'|/2, unbiased in S: [...].

    With sorted samples sum_ij |x_i - x_j| = 2 sum_i (2 i - S + 1) x_i.
    """
    samples = np.sort(np.asarray(samples, np.float64), axis=0)
    num = samples.shape[0]
    if num < 2:
        raise ValueError(f"CRPS compares samples with each other: got {num}, expected at least 2.")
    to_truth = np.mean(np.abs(samples - truth), axis=0)
    ranks = (2.0 * np.arange(num) - num + 1.0).reshape(-1, *[1] * (samples.ndim - 1))
    return to_truth - np.sum(ranks * samples, axis=0) / (num * (num - 1))


def covered(samples: np.ndarray, truth: np.ndarray, level: float) -> np.ndarray:
    """Whether the central band of mass `level` of the samples holds the truth: bool [...]."""
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(np.asarray(samples, np.float64), [tail, 1.0 - tail], axis=0)
    return (low <= truth) & (truth <= high)


def kde_log_density(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Log density of `truth` [B, D] under a Gaussian kernel estimate of `samples` [S, B, D]: [B].

    The bandwidth is Scott's, the kernel has the covariance of the samples of each example.
    """
    samples = np.asarray(samples, np.float64)
    return np.array(
        [gaussian_kde(samples[:, b].T).logpdf(truth[b])[0] for b in range(samples.shape[1])]
    )
