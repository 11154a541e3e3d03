"""Steps of tables 8 and 5 against PyTorch, and the share of the convolutions in ours."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from rlvm.data.dataset import Dataset
from rlvm.jobs import benchmark as benchmarks
from rlvm.jobs import config as configs
from rlvm.jobs import experiment as experiments
from rlvm.jobs import workdir

TABLES = {  # config, batch, frames, steps a round, rounds
    "table_8": ("ladder/polyphonic_music", 16, 50, 1, 5),
    "table_5": ("ladder/occluded_moving_mnist", 4, 5, 1, 3),
}


def network(name: str, batch_size: int) -> ConfigDict:
    """A config without augmentation, which is no part of the comparison."""
    config = configs.load(name)
    config.objective.window = 0
    config.train.batch_size = batch_size
    return config


def synthetic(config: ConfigDict, num_frames: int, size: int) -> Dataset:
    """Frames of zeros and ones of the config's shape, and labels."""
    music = config.model.observation == "keys"
    shape = config.model.frame_shape[1:2] if music else config.model.frame_shape[:2]
    draw = np.random.default_rng(0)
    arrays = {"x": (draw.random((size, num_frames, *shape)) < 0.2).astype(np.uint8)}
    if not music:
        arrays["y"] = draw.integers(0, 10, size).astype(np.int32)
    return Dataset("synthetic", {"train": arrays}, {"train": ""}, "binary", False)


def torch_ladder(experiment: experiments.Experiment, params) -> Any:
    """The experiment's network in PyTorch with the same parameters and costs."""
    from rlvm.jobs.torch_ladder import TorchLadder

    objective = experiment.config.objective
    weights = (objective.class_weight, objective.prediction_weight)
    network: Any = experiment.model
    return TorchLadder(network, params, *weights)


def losses(experiment: experiments.Experiment, params, model, arrays) -> tuple[float, float]:
    """(ours, PyTorch's) loss at the same weights and data."""
    import torch

    extra = experiment.initial_state().extra
    batch = {name: jnp.asarray(value) for name, value in arrays.items()}
    batch |= {"x": batch["x"].astype(jnp.float32), "mask": jnp.ones(len(arrays["x"]))}
    keys = jax.random.split(jax.random.key(0), len(arrays["x"]))
    ours, _ = jax.jit(experiment.objective)(params, extra, batch, keys)
    labels = np.asarray(arrays.get("y", np.zeros(len(arrays["x"]))), np.int64)
    x = torch.from_numpy(np.asarray(arrays["x"], np.float32))
    with torch.no_grad():
        return float(ours), float(model(x, torch.from_numpy(labels)))


def against_torch(table: str) -> dict[str, Any]:
    """Milliseconds a step of both, interleaved, after a check that the losses agree."""
    from rlvm.jobs.torch_step import TorchStep

    name, batch_size, num_frames, count, rounds = TABLES[table]
    config = network(name, batch_size)
    data = synthetic(config, num_frames, 4 * batch_size)
    experiment, ours = benchmarks.our_step(config, data)
    params = experiment.initial_state().params
    model = torch_ladder(experiment, params)
    arrays = {k: v[:batch_size] for k, v in data.splits["train"].items()}
    found, expected = losses(experiment, params, model, arrays)
    if abs(found - expected) > 1e-4 * abs(expected):
        raise AssertionError(f"The losses differ: ours {found}, PyTorch {expected}.")
    rows: dict[str, Callable[[int], Any]] = {
        "ours": ours,
        "torch": TorchStep(model, data.splits["train"]["x"], batch_size),
    }
    times = benchmarks.interleaved(rows, count, rounds)
    ratios = np.array(times["torch"]) / np.array(times["ours"])
    return {
        "batch": batch_size,
        "frames": num_frames,
        "milliseconds_per_step": {k: benchmarks.quartiles(v) for k, v in times.items()},
        "torch_over_ours": benchmarks.quartiles(list(ratios)),
        "rounds": rounds,
        "steps_per_round": count,
    }


def benchmark_ladder() -> dict[str, Any]:
    """Table 8 (piano rolls) and table 5 (frames of 32x32) at full size."""
    return {
        "suite": "ladder",
        **{table: against_torch(table) for table in TABLES},
        "hardware": workdir.hardware(),
        "versions": workdir.versions(),
    }
