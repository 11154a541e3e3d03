"""Which latent units carry information about x."""

import jax
import jax.numpy as jnp

from rlvm.inference.estimators import detached
from rlvm.inference.objectives import sample_keys
from rlvm.types import Array, Posterior


def paired_covariance(posterior: Posterior, rng: Array, mask: Array) -> Array:
    """Var_x(E[z|x]) of every latent, flattened, without bias: [units].

    Two independent draws z, z' of the same x have Cov(z, z') = Var_x(E[z|x]); a unit that ignores
    x has none. A unit counts as active where this exceeds 0.01 (Burda et al. 2015).
    """
    z, _ = posterior.sample_with(detached, sample_keys(rng, 2))
    inferred = getattr(z, "variables", z)  # a path of states: what they were made of
    leaves = [leaf.reshape(*leaf.shape[:2], -1) for leaf in jax.tree.leaves(inferred)]
    first, second = jnp.concatenate(leaves, axis=-1)  # [B, units] each
    weights = (mask / jnp.sum(mask))[:, None]
    centred = [draw - jnp.sum(weights * draw, axis=0) for draw in (first, second)]
    return jnp.sum(weights * centred[0] * centred[1], axis=0)
