"""Validation during training: the objective's own quantity on the validation split."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rlvm.data.dataset import Dataset
from rlvm.data.pipeline import Decoder, evaluation_batches, example_keys
from rlvm.inference import likelihood, particle_filter, predictor
from rlvm.inference.activity import active_units
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
        self._model = experiment.model
        self._measure, self.selects = quantity(experiment)
        self._refresh = partition.refresher(experiment.model)
        self._terms, self._active = jax.jit(self._sum_terms), jax.jit(self._active_units)

    def _pose(self, params, extra, rows, mask, positions):
        """(bound model, batch, keys) of some rows of the split."""
        keys = example_keys(self._key, positions)
        batch = {**self._decoder(rows, keys), "mask": mask}
        return self._model.bind({"params": params, **extra}), batch, keys

    def _sum_terms(self, *rows) -> Terms:
        model, batch, keys = self._pose(*rows)
        terms = self._measure(model, batch, keys)
        return {name: jnp.sum(value * batch["mask"]) for name, value in terms.items()}

    def _active_units(self, *rows) -> Array:
        model, batch, keys = self._pose(*rows)
        return active_units(model.posterior(batch), keys, batch["mask"])

    def __call__(self, state: TrainState) -> dict[str, float]:
        """Mean of each term over the split, at the averaged parameters where there are any.

        And of a model with latents the number of them that are active, over the first rows.
        """
        sums: dict[str, float] = {}
        state = self._refresh(state)
        for rows in evaluation_batches(self._arrays, self._batch_size):
            for name, value in self._terms(state.eval_params, state.extra, *rows).items():
                sums[name] = sums.get(name, 0.0) + float(value)
        found = {name: value / len(self._arrays["x"]) for name, value in sums.items()}
        if isinstance(self._model, LatentVariable):
            first = next(evaluation_batches(self._arrays, self._batch_size))
            found["active_units"] = float(self._active(state.eval_params, state.extra, *first))
        return found


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
