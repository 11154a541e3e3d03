"""Validation during training: the objective's own quantity on the validation split."""

import jax
import jax.numpy as jnp

from rlvm.data.dataset import Dataset
from rlvm.data.pipeline import Decoder, evaluation_batches, example_keys
from rlvm.inference import likelihood
from rlvm.training.state import TrainState
from rlvm.types import Array, Batch, LatentVariable, Terms

BATCH_SIZE = 1000


class Validator:
    """Mean terms of the validation split, with the same noise at every evaluation."""

    def __init__(self, experiment, data: Dataset):
        self._arrays = data.splits["valid"]
        self._decoder = Decoder(data.kind, data.binarize)
        self._key = jax.random.fold_in(jax.random.key(experiment.config.seed), 2)
        self._batch_size = min(BATCH_SIZE, len(self._arrays["x"]))
        self._terms = jax.jit(self._make_terms(experiment.model))
        latent = isinstance(experiment.model, LatentVariable)
        self.selects = "description_length" if latent else "nll"

    def _make_terms(self, model):
        def terms(params, extra, rows, mask, positions) -> Terms:
            keys = example_keys(self._key, positions)
            batch = {**self._decoder(rows, keys), "mask": mask}
            values = model_terms(model.bind({"params": params, **extra}), batch, keys)
            return {name: jnp.sum(value * mask) for name, value in values.items()}

        return terms

    def __call__(self, state: TrainState) -> dict[str, float]:
        """Mean of each term over the split, at the averaged parameters where there are any."""
        sums: dict[str, float] = {}
        for rows, mask, positions in evaluation_batches(self._arrays, self._batch_size):
            values = self._terms(state.eval_params, state.extra, rows, mask, positions)
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + float(value)
        return {name: value / len(self._arrays["x"]) for name, value in sums.items()}


def model_terms(model, batch: Batch, keys: Array) -> Terms:
    """What a model of either kind is measured by: code lengths, or the exact NLL."""
    if isinstance(model, LatentVariable):
        return likelihood.bound(model, batch, keys)
    return {"nll": -model.log_prob(batch)}
