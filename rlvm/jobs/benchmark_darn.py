"""Steps of the deep DARN and of a NADE beside the same networks in PyTorch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from rlvm.data.dataset import Dataset
from rlvm.jobs import benchmark as benchmarks
from rlvm.jobs import config as configs
from rlvm.jobs import workdir

PLAIN_ADAM = {
    "optimizer.name": "adam",
    "optimizer.learning_rate": 1e-3,
    "optimizer.schedule": "constant",
    "optimizer.weight_decay": 0.0,
    "optimizer.ema_decay": 0.0,
}
DIMS = {"deep_darn": 784, "nade": 126}


def network(name: str) -> ConfigDict:
    """The deep DARN of table 2, or the NADE of Connect-4, with plain Adam."""
    stem = {"deep_darn": "darn/deep:paper", "nade": "darn/nade:connect4"}[name]
    return configs.load(stem, **PLAIN_ADAM)


def torch_network(config: ConfigDict, data_dim: int) -> Any:
    """The same network in PyTorch."""
    from rlvm.jobs.torch_conditionals import TorchDeepDARN, TorchNADE

    if config.model.name == "nade":
        return TorchNADE(data_dim, config.model.hidden_units)
    stochastic, tanh = config.model.stochastic_units, config.model.deterministic_units
    return TorchDeepDARN(data_dim, len(stochastic), stochastic[0], tanh[0])


def losses(experiment, params, model, x: np.ndarray) -> tuple[float, float]:
    """(ours, PyTorch's) loss at the same weights, data and noise."""
    import torch

    rows, noise = jnp.asarray(x, jnp.float32), model.noise(len(x))
    uniforms = jnp.asarray(noise.numpy())

    @jax.jit
    def ours(params):
        if experiment.config.model.name == "nade":
            return -jnp.mean(experiment.model.bind({"params": params}).log_prob({"x": rows}))
        return benchmarks.our_loss(experiment, params, rows, uniforms)

    model.copy_from(params)
    with torch.no_grad():
        theirs = model(torch.from_numpy(x.astype(np.float32)), noise)
    return float(ours(params)), float(theirs)


def synthetic(data_dim: int, size: int = 5_000) -> Dataset:
    """Binary rows; their content does not change the work."""
    x = (np.random.default_rng(0).random((size, data_dim)) < 0.2).astype(np.uint8)
    return Dataset("synthetic", {"train": {"x": x}}, {"train": ""}, "binary", False)


def against_torch(name: str, count: int, rounds: int) -> dict[str, Any]:
    """Milliseconds a step of both, interleaved, after a check that the losses agree."""
    from rlvm.jobs.torch_step import TorchStep

    config, data = network(name), synthetic(DIMS[name])
    x, batch_size = data.splits["train"]["x"], config.train.batch_size
    experiment, ours = benchmarks.our_step(config, data)
    model = torch_network(config, DIMS[name])
    found, expected = losses(experiment, experiment.initial_state().params, model, x[:batch_size])
    if abs(found - expected) > 1e-4 * abs(expected):
        raise AssertionError(f"The losses differ: ours {found}, PyTorch {expected}.")
    rows: dict[str, Callable[[int], Any]] = {"ours": ours, "torch": TorchStep(model, x, batch_size)}
    times = benchmarks.interleaved(rows, count, rounds)
    ratios = np.array(times["torch"]) / np.array(times["ours"])
    return {
        "milliseconds_per_step": {k: benchmarks.quartiles(v) for k, v in times.items()},
        "torch_over_ours": benchmarks.quartiles(list(ratios)),
    }


def benchmark_darn(count: int = 10, rounds: int = 7) -> dict[str, Any]:
    """Deep DARN (12 x 80, 400 tanh, skip) on 784 pixels and NADE (126, 100 hidden), batch 100."""
    return {
        "suite": "darn",
        "networks": "deep DARN 784, 12 x 80, 400 tanh; NADE 126, 100 hidden; batch 100, Adam",
        **{name: against_torch(name, count, rounds) for name in DIMS},
        "rounds": rounds,
        "steps_per_round": count,
        "hardware": workdir.hardware(),
        "versions": workdir.versions(),
    }
