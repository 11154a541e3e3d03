"""Expectation maximisation in the form of an objective."""

from typing import Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.inference.prediction import weighted_mean
from rlvm.types import Array, Batch, Objective, PyTree


@runtime_checkable
class Mixture(Protocol):
    """A density whose parameters are the means over the data of its sufficient statistics."""

    def log_prob(self, batch: Batch) -> Array:
        """Log p(x) in nats: [B]."""
        ...

    def expected_statistics(self, batch: Batch, weights: Array) -> PyTree:
        """sum_b weights_b E[statistics | x_b], shaped like the parameters; weights are [B]."""
        ...


def expectation_maximization(model: nn.Module, config: ConfigDict) -> Objective:
    """-log p(x), with the gradient parameters - mean E[statistics | x].

    A step of plain SGD with rate r moves the parameters to (1 - r) theirs + r the batch's: EM for
    r = 1 and the whole split as batch, stepwise EM otherwise.
    """
    del config

    def objective(params, extra, batch, rng):
        del rng
        held = jax.lax.stop_gradient(params)
        nll = -model.apply({"params": held}, batch, method="log_prob")
        weights = batch["mask"] / jnp.maximum(jnp.sum(batch["mask"]), 1.0)
        means = model.apply({"params": held}, batch, weights, method="expected_statistics")
        pull = jax.tree.map(lambda p, h, m: jnp.sum((p - h) * (h - m)), params, held, means)
        loss = weighted_mean(nll, batch["mask"]) + jax.tree.reduce(jnp.add, pull)  # pull is 0
        return loss, (extra, {"nll": nll})

    return objective
