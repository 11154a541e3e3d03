"""Training steps on made data: what the tests of steps, parallel modes and configs share."""

import dataclasses
from typing import Any

import jax
import numpy as np
import small_config as small
import synthetic

from rlvm.data.pipeline import DEVICE_BYTES, training_source
from rlvm.jobs import config as configs
from rlvm.jobs import experiment as experiments
from rlvm.training import parallel
from rlvm.training.step import make_step


def small_config(**overrides: Any):
    """The config of the tests; overrides are dotted keys."""
    config = small.get_config().lock()
    for key, value in overrides.items():
        configs.set_field(config, key, value)
    return config


@dataclasses.dataclass
class Run:
    """A compiled dispatch with the state and the source it works on."""

    experiment: experiments.Experiment
    parallel: parallel.Parallel
    source: Any
    state: Any

    def steps(self, *counts: int) -> dict:
        """Run dispatches of these numbers of steps; returns the last one's totals."""
        totals: dict = {}
        for count in counts:
            plain = self.parallel.collect(self.state)
            inputs = self.source.inputs(int(plain.step), count)
            self.state, totals = self.parallel(self.state, inputs, count)
        return totals

    @property
    def plain(self):
        """The state as plain NumPy arrays."""
        return jax.tree.map(np.asarray, self.parallel.collect(self.state))


def start(
    config,
    data=None,
    mode="jit",
    devices=None,
    step_wrapper=lambda step: step,
    limit=DEVICE_BYTES,
) -> Run:
    """A run of `config` in `mode`, before its first step."""
    config = config.copy_and_resolve_references()
    config.parallel = mode
    data = data or synthetic.dataset(config, 3 * config.train.batch_size, narrow=True)
    experiment = experiments.build(config, experiments.example_batch(data))
    step = make_step(
        experiment.objective,
        experiment.optimizer,
        config.optimizer.ema_decay,
        parallel.axis_name(mode),
    )
    source = training_source(
        data, config.train.batch_size, config.seed, config.train.steps_per_dispatch, limit
    )
    wrapper = parallel.Parallel(
        mode,
        step_wrapper(step),
        source,
        config.seed,
        devices,
        config.sharding.fsdp,
        config.sharding.rules,
    )
    return Run(experiment, wrapper, source, wrapper.place(experiment.initial_state()))


def assert_equal(left, right):
    """Two pytrees are equal bit for bit."""
    assert jax.tree.structure(left) == jax.tree.structure(right)
    jax.tree.map(np.testing.assert_array_equal, left, right)


def assert_close(left, right, **tolerance):
    """Two pytrees are close."""
    assert jax.tree.structure(left) == jax.tree.structure(right)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), left, right)
