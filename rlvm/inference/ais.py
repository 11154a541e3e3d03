"""Annealed importance sampling of a partition function (Neal 2001; Salakhutdinov and Murray)."""

import jax
import jax.numpy as jnp

from rlvm.inference.contrastive_divergence import EnergyBased
from rlvm.types import Array


def log_partition(
    model: EnergyBased, rng: Array, num_chains: int, num_steps: int
) -> tuple[Array, Array]:
    """log Z and its standard error, from chains annealed from beta = 0 to 1.

    Each chain's weight prod_k exp(F(x_k, beta_k) - F(x_k, beta_{k+1})) has mean Z / Z_0; the
    logarithm of their average is biased downwards, so the NLL it gives is too low if anything.
    """
    start, moves = jax.random.split(rng)
    x, log_base = model.base(start, num_chains)
    betas = jnp.linspace(0.0, 1.0, num_steps + 1)

    def anneal(carry, inputs):
        x, log_weights = carry
        key, cooler, warmer = inputs
        log_weights = log_weights + model.free_energy(x, cooler) - model.free_energy(x, warmer)
        return (model.transition(x, key, warmer), log_weights), None

    keys = jax.random.split(moves, num_steps)
    carry = (x, jnp.zeros(num_chains))
    (_, log_weights), _ = jax.lax.scan(anneal, carry, (keys, betas[:-1], betas[1:]))
    log_ratio = jax.nn.logsumexp(log_weights) - jnp.log(num_chains)
    relative = jnp.exp(log_weights - log_ratio)  # mean 1
    return log_base + log_ratio, jnp.std(relative, ddof=1) / jnp.sqrt(num_chains)
