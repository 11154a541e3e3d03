"""An experiment: what a config and a data set make together, before any step is run."""

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Mapping

import flax.linen as nn
import jax
import numpy as np
import optax
from ml_collections import ConfigDict

import rlvm.models
from rlvm.data import dataset
from rlvm.data.dataset import Dataset
from rlvm.data.pipeline import Decoder, stored_one
from rlvm.inference import objectives, predictor, regularizers
from rlvm.training import optimizer as optimizers
from rlvm.training import parallel, precision
from rlvm.training import state as states
from rlvm.types import Objective, Predictor, PyTree

AVERAGED = 1_000  # training examples whose average a model is initialised with


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Model, objective and optimizer of a config for data of a given shape."""

    config: ConfigDict
    model: nn.Module
    objective: Objective
    optimizer: optax.GradientTransformation
    example: Mapping[str, np.ndarray]

    def initial_state(self, shardings: PyTree = None) -> states.TrainState:
        """The state before the first step, living where `shardings` say; the seed decides it."""
        return jax.jit(self._create, out_shardings=shardings)()

    @functools.cached_property
    def _create(self):
        """Makes the state; traced once, for its shapes and to be run."""

        def create():
            key = jax.random.fold_in(jax.random.key(self.config.seed), 0)
            carry = (None,) if isinstance(self.model, Predictor) else ()
            variables = dict(self.model.init(key, *carry, self.example))
            variables["params"] = regularizers.with_noise_scales(
                variables["params"], self.config.objective
            )
            variables = predictor.with_teacher(variables, self.config.objective)
            ema = self.config.optimizer.ema_decay > 0
            return states.create(variables, self.optimizer, ema)

        return jax.jit(create)

    def abstract_state(self) -> states.TrainState:
        """Shapes and types of the state, without computing it."""
        return jax.eval_shape(self._create)

    def abstract_batch(self) -> tuple[PyTree, PyTree]:
        """Shapes and types of a global batch and of its keys."""
        size = self.config.train.batch_size
        batch = {
            name: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype)
            for name, leaf in self.example.items()
        }
        return batch, jax.eval_shape(lambda: jax.random.split(jax.random.key(0), size))


def load_data(config: ConfigDict, data_dir=None, manual_dir=None) -> Dataset:
    """The data set that `config.data` names; `data_dir` None is the user's default folder."""
    data = dataset.load(
        config.data.name,
        data_dir=data_dir or dataset.default_data_dir(),
        manual_dir=manual_dir,
        path=config.data.path,
        num_examples=config.data.get("num_examples", 0),
        allow_missing=config.data.get("allow_missing", False),
    )
    return data.with_validation() if config.data.get("with_validation", False) else data


def build(config: ConfigDict, example: Mapping[str, np.ndarray]) -> Experiment:
    """The experiment of `config` on batches shaped like `example`."""
    model = build_model(config, example)
    if isinstance(model, Predictor):  # its BatchNorm sees the global batch
        model = model.clone(axis_name=parallel.axis_name(config.parallel))
    objective = regularizers.regularized(
        objectives.make(config.objective, model), model, config.objective
    )
    return Experiment(
        config=config,
        model=model,
        objective=precision.in_precision(objective, config.train.matmul_precision),
        optimizer=optimizers.build(config.optimizer, config.train.num_steps),
        example=example,
    )


def build_model(config: ConfigDict, example: Mapping[str, np.ndarray]) -> nn.Module:
    """The module that `rlvm/models/<config.model.name>` builds for such a batch."""
    names = [module.name for module in pkgutil.iter_modules(rlvm.models.__path__)]
    if config.model.name in names:
        module = importlib.import_module(f"rlvm.models.{config.model.name}")
        if hasattr(module, "build"):
            return module.build(config.model, example)
    known = ", ".join(model_names(names))
    raise ValueError(f"No model '{config.model.name}'. Models: {known}.")


def model_names(names: list[str]) -> list[str]:
    """Those modules of `rlvm/models` that build a model."""
    return [n for n in names if hasattr(importlib.import_module(f"rlvm.models.{n}"), "build")]


def example_batch(data: Dataset, size: int = 2) -> dict[str, np.ndarray]:
    """A batch of the data's shapes and types, from which a model reads its sizes.

    Binary examples of one length are all the average of up to AVERAGED of the training split: a
    model may start its biases there.
    """
    train = data.splits["train"]
    rows = {name: np.asarray(array[np.zeros(size, int)]) for name, array in train.items()}
    keys = jax.random.split(jax.random.key(0), size)
    batch = jax.tree.map(np.asarray, dict(Decoder(data.kind, data.binarize)(rows, keys)))
    if data.kind == "binary" and "lengths" not in train:
        last = len(train["x"]) - 1
        some = np.linspace(0, last, min(last + 1, AVERAGED)).astype(int)
        average = np.asarray(train["x"][some]).mean(axis=0) / stored_one(data.kind, data.binarize)
        batch["x"] = np.broadcast_to(average, batch["x"].shape).astype(batch["x"].dtype)
    return batch
