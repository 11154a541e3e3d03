"""Which latent units carry information about x."""

import jax
import jax.numpy as jnp

from rlvm.inference.estimators import detached
from rlvm.inference.objectives import sample_keys
from rlvm.types import Array, Posterior

ACTIVE_VARIANCE = 0.01  # of E[z|x] over x, above which a unit is active (Burda et al. 2015)


def active_units(posterior: Posterior, rng: Array, mask: Array) -> Array:
    """How many latents carry information about x."""
    return jnp.sum(paired_covariance(posterior, rng, mask) > ACTIVE_VARIANCE)


def paired_covariance(posterior: Posterior, rng: Array, mask: Array) -> Array:
    """Var_x(E[z|x]) of every latent, flattened, without bias: [units].

    Two independent draws z, z' of the same x have Cov(z, z') = Var_x(E[z|x]); a unit that ignores
    x has none. So have the means from which a path of states was drawn, with less noise: the draws
    of n examples vary by 1/sqrt(n), which is above the threshold of an active unit.
    """
    keys = sample_keys(rng, 2)
    if hasattr(posterior, "sample_with_moments"):
        draws = posterior.sample_with_moments(keys)[1].mean
    else:
        draws, _ = posterior.sample_with(detached, keys)
    leaves = [leaf.reshape(*leaf.shape[:2], -1) for leaf in jax.tree.leaves(draws)]
    first, second = jnp.concatenate(leaves, axis=-1)  # [B, units] each
    weights = (mask / jnp.sum(mask))[:, None]
    centred = [draw - jnp.sum(weights * draw, axis=0) for draw in (first, second)]
    return jnp.sum(weights * centred[0] * centred[1], axis=0)
