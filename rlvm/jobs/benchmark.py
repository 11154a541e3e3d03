"""Our training step against the same network in PyTorch, and against its own matmuls."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from rlvm.data.dataset import Dataset
from rlvm.data.pipeline import training_source
from rlvm.inference.estimators import darn
from rlvm.inference.objectives import code_lengths
from rlvm.jobs import config as configs
from rlvm.jobs import experiment as experiments
from rlvm.jobs import workdir
from rlvm.training.parallel import Parallel
from rlvm.training.step import make_step
from rlvm.types import Array

DATA_DIM, UNITS, BATCH = 784, 500, 100


def synthetic(size: int = 10_000) -> Dataset:
    """Binary rows of MNIST's shape; their content does not change the work."""
    rng = np.random.default_rng(0)
    x = (rng.random((size, DATA_DIM)) < 0.2).astype(np.uint8)
    return Dataset("synthetic", {"train": {"x": x}}, {"train": ""}, "binary", False)


def our_darn() -> ConfigDict:
    """The DARN 784-500-500 with plain Adam."""
    return configs.load(
        "darn/binarized_mnist:500,paper",
        **{"optimizer.name": "adam", "optimizer.learning_rate": 1e-3, "optimizer.ema_decay": 0.0},
    )


def our_step(
    config: ConfigDict, data: Dataset
) -> tuple[experiments.Experiment, Callable[[int], float]]:
    """An experiment and a function that takes `count` of its training steps."""
    experiment = experiments.build(config, experiments.example_batch(data))
    source = training_source(data, config.train.batch_size, 0, 100)
    step = make_step(experiment.objective, experiment.optimizer)
    run = Parallel("jit", step, source, 0, jax.devices()[:1])
    state = run.place(experiment.initial_state())

    def steps(count: int) -> float:
        nonlocal state
        state, totals = run(state, source.inputs(0, count), count)
        return float(totals["sums"]["loss"])

    return experiment, steps


def our_loss(experiment: experiments.Experiment, params, x: Array, noise: Array) -> Array:
    """The mean description length for given uniforms."""
    model = experiment.model.bind({"params": params})
    batch = {"x": x}
    posterior = model.posterior(batch)
    h = posterior.sample_from(darn, noise)
    parts = code_lengths(model, batch, h, posterior.log_prob(h))
    return jnp.mean(parts["distortion"] + parts["rate"])


def matmuls() -> Callable[[int], None]:
    """The step's own matmuls at their shapes, and nothing else."""
    shapes = [  # forward [B, n] x [n, m]; backward adds its weight's and (not at x) its input's
        (DATA_DIM, UNITS),
        (UNITS, UNITS),
        (UNITS, UNITS),
        (UNITS, UNITS),
        (UNITS, DATA_DIM),
    ]
    key = jax.random.key(0)
    inputs = [jax.random.normal(key, (BATCH, n)) for n, _ in shapes]
    weights = [jax.random.normal(key, shape) for shape in shapes]
    deltas = [jax.random.normal(key, (BATCH, m)) for _, m in shapes]

    @jax.jit
    def once(inputs, weights, deltas):
        forward = [x @ w for x, w in zip(inputs, weights, strict=True)]
        to_weights = [x.T @ d for x, d in zip(inputs, deltas, strict=True)]
        to_inputs = [d @ w.T for w, d in zip(weights[1:], deltas[1:], strict=True)]
        return forward, to_weights, to_inputs

    def run(count: int) -> None:
        for _ in range(count):
            result = once(inputs, weights, deltas)
        jax.block_until_ready(result)

    return run


def check_same_loss(experiment: experiments.Experiment, model, x: np.ndarray) -> None:
    """Same weights and noise give the same loss in both libraries."""
    import torch

    state = experiment.initial_state()
    model.copy_from(state.params)
    noise = np.random.default_rng(1).random((BATCH, UNITS)).astype(np.float32)
    rows = x[:BATCH].astype(np.float32)
    ours = float(our_loss(experiment, state.params, jnp.asarray(rows), jnp.asarray(noise)))
    theirs = float(model(torch.from_numpy(rows), torch.from_numpy(noise)))
    if abs(ours - theirs) > 1e-4 * abs(theirs):
        raise AssertionError(f"The losses differ: ours {ours}, PyTorch {theirs}.")


def interleaved(
    rows: dict[str, Callable[[int], Any]], count: int, rounds: int
) -> dict[str, list[float]]:
    """Milliseconds per step of each row, taken in turn, after one warm-up round."""
    times: dict[str, list[float]] = {name: [] for name in rows}
    for round_number in range(rounds + 1):
        for name, steps in rows.items():
            start = time.perf_counter()
            steps(count)
            if round_number:
                times[name].append(1e3 * (time.perf_counter() - start) / count)
    return times


def quartiles(values: list[float]) -> list[float]:
    """Lower quartile, median, upper quartile."""
    return [round(float(value), 3) for value in np.quantile(values, [0.25, 0.5, 0.75])]


def benchmark_train(count: int = 50, rounds: int = 11) -> dict[str, Any]:
    """DARN 784-500-500, batch 100: medians of interleaved ratios with quartiles."""
    from rlvm.jobs.torch_darn import TorchDARN
    from rlvm.jobs.torch_step import TorchStep

    data = synthetic()
    x = data.splits["train"]["x"]
    experiment, ours = our_step(our_darn(), data)
    eager, compiled = (TorchDARN(DATA_DIM, UNITS, UNITS) for _ in range(2))
    check_same_loss(experiment, eager, x)
    rows: dict[str, Callable[[int], Any]] = {
        "ours": ours,
        "torch_eager": TorchStep(eager, x, BATCH, compiled=False),
        "torch_compiled": TorchStep(compiled, x, BATCH, compiled=True),
        "matmuls": matmuls(),
    }
    times = interleaved(rows, count, rounds)
    base = np.array(times["ours"])
    return {
        "suite": "train",
        "network": "DARN 784-500-500, batch 100, float32, Adam",
        "milliseconds_per_step": {name: quartiles(values) for name, values in times.items()},
        "torch_eager_over_ours": quartiles(list(np.array(times["torch_eager"]) / base)),
        "torch_compiled_over_ours": quartiles(list(np.array(times["torch_compiled"]) / base)),
        "ours_over_matmuls": quartiles(list(base / np.array(times["matmuls"]))),
        "rounds": rounds,
        "steps_per_round": count,
        "hardware": workdir.hardware(),
        "versions": workdir.versions(),
    }


def benchmark(suite: str) -> dict[str, Any]:
    """Run a suite by name."""
    from rlvm.jobs.benchmark_darn import benchmark_darn
    from rlvm.jobs.benchmark_ladder import benchmark_ladder
    from rlvm.jobs.benchmark_sampling import benchmark_sampling
    from rlvm.jobs.benchmark_ssm import benchmark_ssm
    from rlvm.jobs.benchmark_tiled import benchmark_tiled

    suites = {
        "train": benchmark_train,
        "ssm": benchmark_ssm,
        "ladder": benchmark_ladder,
        "sampling": benchmark_sampling,
        "darn": benchmark_darn,
        "tiled": benchmark_tiled,
    }
    if suite not in suites:
        raise ValueError(f"No suite '{suite}'. Suites: {', '.join(suites)}.")
    return suites[suite]()
