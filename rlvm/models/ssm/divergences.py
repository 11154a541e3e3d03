"""Kullback-Leibler divergences of diagonal Gaussians, per dimension (oracle 7)."""

import jax.numpy as jnp

from rlvm.types import Array


def standard_kl(mean: Array, scale: Array) -> Array:
    """KL(N(mean, scale^2) || N(0, 1)) = (mean^2 + scale^2 - 1 - log scale^2) / 2."""
    return 0.5 * (mean**2 + scale**2 - 1.0) - jnp.log(scale)


def gaussian_kl(mean: Array, scale: Array, prior_mean: Array, prior_scale: Array) -> Array:
    """KL(N(mean, scale^2) || N(prior_mean, prior_scale^2))."""
    return standard_kl((mean - prior_mean) / prior_scale, scale / prior_scale)
