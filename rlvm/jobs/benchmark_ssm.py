"""A step of the D.2 state-space model against PyTorch, and what longer sequences cost."""

import time
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
from rlvm.models.ssm.noise import normals

DIM, STEPS = 28, 28
BATCHES = (32, 128)
LENGTHS = (28, 56, 112)


def synthetic(num_timesteps: int, size: int = 2000) -> Dataset:
    """Binary sequences of the shape of row-wise MNIST; their content does not change the work."""
    rng = np.random.default_rng(0)
    x = (rng.random((size, num_timesteps, DIM)) < 0.2).astype(np.uint8)
    lengths = np.full(size, num_timesteps, np.int32)
    arrays: dict[str, np.ndarray] = {"x": x, "lengths": lengths}
    return Dataset("synthetic", {"train": arrays}, {"train": ""}, "binary", False)


def network(batch_size: int) -> ConfigDict:
    """The D.2 model without KL warm-up, which changes no work."""
    return configs.load(
        "ssm/row_mnist:paper_full",
        **{"train.batch_size": batch_size, "objective.kl_warmup_steps": 0},
    )


def losses(experiment, params, model, x: np.ndarray) -> tuple[float, float]:
    """(ours, PyTorch's) mean description length at the same weights, data and noise."""
    import torch

    keys = jax.random.split(jax.random.key(1), len(x))
    batch = {"x": jnp.asarray(x, jnp.float32), "mask": jnp.ones(len(x))}

    @jax.jit
    def ours(params):
        bound = experiment.model.bind({"params": params})
        path, rate = bound.sample_with_rate(batch, keys)
        return jnp.mean(rate - bound.likelihood(path, batch).log_prob(batch["x"]))

    model.copy_from(params)
    noise = np.array(normals(keys, (x.shape[1], experiment.config.model.state_dim)))
    with torch.no_grad():
        theirs = model(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(noise))
    return float(ours(params)), float(theirs)


def against_torch(batch_size: int, count: int, rounds: int) -> dict[str, Any]:
    """Milliseconds a step of both, interleaved, after a check that the losses agree."""
    from rlvm.jobs.torch_ssm import TorchSSM
    from rlvm.jobs.torch_step import TorchStep

    config, data = network(batch_size), synthetic(STEPS)
    x = data.splits["train"]["x"]
    experiment, ours = benchmarks.our_step(config, data)
    model = TorchSSM(config.model, DIM, STEPS)
    found, expected = losses(experiment, experiment.initial_state().params, model, x[:batch_size])
    if abs(found - expected) > 1e-4 * abs(expected):
        raise AssertionError(f"The losses differ: ours {found}, PyTorch {expected}.")
    rows: dict[str, Callable[[int], Any]] = {
        "ours": ours,
        "torch": TorchStep(model, x, batch_size, clip_norm=config.optimizer.clip_norm),
    }
    times = benchmarks.interleaved(rows, count, rounds)
    ratios = np.array(times["torch"]) / np.array(times["ours"])
    return {
        "milliseconds_per_step": {k: benchmarks.quartiles(v) for k, v in times.items()},
        "torch_over_ours": benchmarks.quartiles(list(ratios)),
    }


def longer(num_timesteps: int, count: int) -> dict[str, float]:
    """Seconds to the first step (compilation, mostly) and milliseconds a step after it."""
    _, steps = benchmarks.our_step(network(32), synthetic(num_timesteps))
    start = time.perf_counter()
    steps(1)
    first = time.perf_counter()
    steps(count)
    each = (time.perf_counter() - first) / count
    return {"first_seconds": round(first - start, 2), "milliseconds_per_step": round(1e3 * each, 2)}


def benchmark_ssm(count: int = 20, rounds: int = 11) -> dict[str, Any]:
    """D.2 (28 steps of 28, 25 state dimensions) at batch 32 and 128; and longer sequences."""
    return {
        "suite": "ssm",
        "network": "appendix D.2, full conditioning, 28 steps of 28, float32, Adam, clipped",
        **{f"batch_{size}": against_torch(size, count, rounds) for size in BATCHES},
        "by_num_timesteps": {str(steps): longer(steps, count) for steps in LENGTHS},
        "rounds": rounds,
        "steps_per_round": count,
        "hardware": workdir.hardware(),
        "versions": workdir.versions(),
    }
