"""Validation during training: the objective's own quantity on the validation split."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rlvm.data.dataset import Dataset
from rlvm.data.pipeline import Decoder, evaluation_batches, example_keys
from rlvm.inference import likelihood, particle_filter, predictor
from rlvm.jobs import partition
from rlvm.training.state import TrainState
from rlvm.types import Array, Batch, LatentVariable, Predictor, Terms

BATCH_SIZE = 1000


class Validator:
    """Mean terms of the validation split, with the same noise at every evaluation."""

    def __init__(self, experiment, data: Dataset):
        self._arrays = data.splits["valid"]
        self._decoder = Decoder(data.kind, data.binarize)
        self._key = jax.random.fold_in(jax.random.key(experiment.config.seed), 2)
        self._batch_size = min(BATCH_SIZE, len(self._arrays["x"]))
        measure, self.selects = quantity(experiment)
        self._refresh = partition.refresher(experiment.model)
        self._terms = jax.jit(self._make_terms(experiment.model, measure))

    def _make_terms(self, model, measure):
        def terms(params, extra, rows, mask, positions) -> Terms:
            keys = example_keys(self._key, positions)
            batch = {**self._decoder(rows, keys), "mask": mask}
            values = measure(model.bind({"params": params, **extra}), batch, keys)
            return {name: jnp.sum(value * mask) for name, value in values.items()}

        return terms

    def __call__(self, state: TrainState) -> dict[str, float]:
        """Mean of each term over the split, at the averaged parameters where there are any."""
        sums: dict[str, float] = {}
        state = self._refresh(state)
        for rows, mask, positions in evaluation_batches(self._arrays, self._batch_size):
            values = self._terms(state.eval_params, state.extra, rows, mask, positions)
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + float(value)
        return {name: value / len(self._arrays["x"]) for name, value in sums.items()}


def quantity(experiment) -> tuple[Callable[[Any, Batch, Array], Terms], str]:
    """What the objective is about, as (model, batch, keys) -> terms, and the term that selects."""
    objective = experiment.config.objective
    if isinstance(experiment.model, Predictor):
        return predictor.evaluated(objective), objective.selects
    if not isinstance(experiment.model, LatentVariable):
        return likelihood.density, "nll"
    if objective.name == "fivo":
        return functools.partial(fivo_terms, num_samples=objective.num_samples), "fivo_bound"
    if objective.name == "iwae":
        return functools.partial(iwae_terms, num_samples=objective.num_samples), "iwae_bound"
    return likelihood.bound, "description_length"


def fivo_terms(model, batch: Batch, keys: Array, num_samples: int) -> Terms:
    """The filter's bound beside the code lengths of single draws."""
    filtered = particle_filter.evidence(model, batch, keys, num_samples, guided=True)
    return {**likelihood.bound(model, batch, keys), "fivo_bound": filtered["nll"]}


def iwae_terms(model, batch: Batch, keys: Array, num_samples: int) -> Terms:
    """The K-sample bound beside the code lengths of single draws."""
    terms = likelihood.importance(model, batch, keys, num_samples, chunk=num_samples)
    del terms["nll_tenth"]
    terms["iwae_bound"] = terms.pop("nll")
    return terms
