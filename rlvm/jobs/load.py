"""A trained model, ready for a notebook: its distributions, its likelihood, its samples."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from rlvm.data.dataset import Dataset
from rlvm.inference import likelihood
from rlvm.jobs import cache, partition, workdir
from rlvm.jobs import config as configs
from rlvm.jobs import experiment as experiments
from rlvm.training.checkpoint import Checkpoints
from rlvm.training.state import TrainState
from rlvm.types import Array, Batch, Density, Distribution, LatentVariable, Posterior


@dataclasses.dataclass(frozen=True)
class Model:
    """A model bound to the parameters of one checkpoint.

    `x` may be one batch array [B, ...] or a batch dict with `u`, `lengths` and the like.
    """

    experiment: experiments.Experiment
    state: TrainState
    checkpoint: str
    data: Mapping[str, Any]

    @functools.cached_property
    def bound(self):
        """The Flax module with its variables; its methods are the model's distributions."""
        return self.experiment.model.bind(self.variables)

    @property
    def variables(self) -> dict[str, Any]:
        """Parameters (averaged, where training kept an average) and other collections."""
        return {"params": self.state.eval_params, **self.state.extra}

    def batch(self, x) -> Batch:
        """A batch dict of `x`."""
        fields = dict(x) if isinstance(x, Mapping) else {"x": jnp.asarray(x, jnp.float32)}
        return {"mask": jnp.ones(fields["x"].shape[0]), **fields}

    def prior(self, x=None) -> Distribution:
        """p(z); controls, where a model has them, come from `x`."""
        return self.bound.prior(self.experiment.example if x is None else self.batch(x))

    def posterior(self, x) -> Posterior:
        """q(z | x)."""
        return self.bound.posterior(self.batch(x))

    def likelihood(self, z, x=None) -> Distribution:
        """p(x | z)."""
        return self.bound.likelihood(z, self.experiment.example if x is None else self.batch(x))

    @property
    def origin(self) -> dict[str, Any]:
        """Which trained model this is, as fields of a JSON object."""
        config = self.experiment.config
        return {
            "model": config.model.name,
            "config": config.to_dict(),
            "config_sha256": configs.sha256(config),
            "seed": config.seed,
            "step": int(self.state.step),
            "checkpoint": self.checkpoint,
        }

    def log_prob(self, x, num_samples: int = 1000, seed: int = 0) -> Array:
        """log p(x) in nats [B]: exact for a density, else importance sampling with S draws."""
        batch = self.batch(x)
        if not isinstance(self.experiment.model, LatentVariable):
            return self._log_prob(self.variables, batch)
        keys = jax.random.split(jax.random.key(seed), batch["x"].shape[0])
        return self._importance(self.variables, batch, keys, num_samples)

    def sample(self, num_samples: int, seed: int = 0, x=None) -> Array:
        """Exact ancestral draws of x: [N, ...].

        Controls and lengths, where a model has them, come from the rows of `x`, taken in turn;
        without `x` controls are 0 and sequences are of full length.
        """
        blank = {k: np.zeros_like(v) for k, v in self.experiment.example.items() if k != "lengths"}
        context = blank if x is None else self.batch(x)
        rows = {k: jnp.asarray(v)[jnp.arange(num_samples) % len(v)] for k, v in context.items()}
        keys = jax.random.split(jax.random.key(seed), num_samples)
        return self._sample(self.variables, keys, rows)

    @functools.cached_property
    def _log_prob(self):
        model = self.experiment.model
        return jax.jit(lambda variables, batch: model.bind(variables).log_prob(batch))

    @functools.cached_property
    def _importance(self):
        model = self.experiment.model

        def log_prob(variables, batch, keys, num_samples):
            return -likelihood.importance(model.bind(variables), batch, keys, num_samples)["nll"]

        return jax.jit(log_prob, static_argnums=3)

    @functools.cached_property
    def _sample(self):
        model = self.experiment.model

        def sample(variables, keys, rows):
            return ancestral(model.bind(variables), keys, rows)

        return jax.jit(sample)


def ancestral(model, keys: Array, batch: Batch) -> Array:
    """Exact draws of x, one per key [N]: a density's own, else z ~ p(z), then x ~ p(x | z).

    `batch` has a row for each key where the model reads controls or lengths from it.
    """
    if isinstance(model, Density):
        return model.sample(keys)
    pair = jax.vmap(jax.random.split)(keys)
    z = model.prior(batch).sample(pair[:, 0])
    return model.likelihood(z, batch).sample(pair[:, 1])


def open_data(model: Model, data_dir, manual_dir) -> Dataset:
    """The data set the model was trained on, checked by its content."""
    data = experiments.load_data(model.experiment.config, data_dir, manual_dir)
    if dict(data.sha256) != dict(model.data["sha256"]):
        raise ValueError(
            f"The model was trained on {model.data['name']} of other content than {data.name} "
            "here; pass the --data_dir or --manual_dir it was trained with."
        )
    return data


def load_state_space(path: epath.PathLike, checkpoint: str, data_dir, manual_dir):
    """The state-space model of a workdir and its data set; refuses other models."""
    model = load(path, checkpoint)
    if not hasattr(model.experiment.model, "filter_steps"):
        name = model.experiment.config.model.name
        raise ValueError(f"This needs a state-space model; {path} holds '{name}'.")
    return model, open_data(model, data_dir, manual_dir)


def load(path: epath.PathLike, checkpoint: str = "best") -> Model:
    """The model of a workdir at `checkpoint`: 'best', 'latest' or a step."""
    cache.enable()
    config = workdir.read_config(path)
    data = workdir.read_data(path)
    experiment = experiments.build(config, data["example"])
    checkpoints = Checkpoints(path, writes=False)
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    state, name = checkpoints.restore(str(checkpoint), experiment.abstract_state(), sharding)
    checkpoints.close()
    state = partition.refresher(experiment.model)(jax.tree.map(jnp.asarray, state))
    return Model(experiment, state, name, data)
