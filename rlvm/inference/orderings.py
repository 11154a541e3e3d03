"""Training of a density that can condition on any subset of units (Uria et al. 2014)."""

from typing import Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.inference.prediction import weighted_mean
from rlvm.types import Array, Batch, Objective


@runtime_checkable
class OrderAgnostic(Protocol):
    """A density whose conditionals given any subset of units are one pass (EoNADE)."""

    def log_prob(self, batch: Batch) -> Array:
        """Log p(x) of its ensemble of orderings in nats: [B]."""
        ...

    def masked_logits(self, x: Array, known: Array) -> Array:
        """The logits of all units given those whose `known` is 1: [B, D] each."""
        ...


def draw_known(rng: Array, units: int) -> Array:
    """Which units come before a uniform position of a uniform ordering: [B, D] of 0 and 1."""

    def one(key):
        count, order = jax.random.split(key)
        rank = jax.random.permutation(order, units)
        return (rank < jax.random.randint(count, (), 0, units)).astype(jnp.float32)

    return jax.vmap(one)(rng)


def order_agnostic(model: nn.Module, config: ConfigDict) -> Objective:
    """E over orderings o of -log p_o(x), without bias from one ordering and one position.

    With d of D units known the others' costs are summed and weigh D / (D - d).
    """
    del config

    def objective(params, extra, batch, rng):
        x = batch["x"]
        known = draw_known(rng, x.shape[-1])
        logits = model.apply({"params": params}, x, known, method="masked_logits")
        costs = (1 - known) * (jax.nn.softplus(logits) - x * logits)
        nll = x.shape[-1] * jnp.sum(costs, axis=-1) / jnp.sum(1 - known, axis=-1)
        return weighted_mean(nll, batch["mask"]), (extra, {"nll": nll})

    return objective
