"""Filtering variational objective: the particle filter's evidence as a bound (Maddison 2017)."""

import flax.linen as nn
from ml_collections import ConfigDict

from rlvm.inference.particle_filter import evidence
from rlvm.inference.prediction import weighted_mean
from rlvm.types import Objective


def fivo(model: nn.Module, config: ConfigDict) -> Objective:
    """-log p^(x_1:T) of a filter of `num_samples` particles guided by the posterior.

    p^ is unbiased, so that E[log p^] <= log p. The gradient passes the particles and their weights,
    not the choice of ancestors (the term that the paper drops, too).
    """

    def objective(params, extra, batch, rng):
        bound = model.bind({"params": params})
        nll = evidence(bound, batch, rng, config.num_samples, guided=True)["nll"]
        return weighted_mean(nll, batch["mask"]), (extra, {"fivo_bound": nll})

    return objective
