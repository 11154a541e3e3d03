"""Time and memory of a step of the locally connected DARN as its image grows."""

from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from rlvm.data.dataset import Dataset
from rlvm.jobs import benchmark as benchmarks
from rlvm.jobs import config as configs
from rlvm.jobs import cost, workdir
from rlvm.jobs import experiment as experiments
from rlvm.training import compiler
from rlvm.training.step import make_step

SIZES = ((53, 70), (106, 139), (159, 209))  # the last is an Atari frame


def frames(shape: tuple[int, int], count: int) -> Dataset:
    """Sparse binary images; their content does not change the work."""
    x = (np.random.default_rng(0).random((count, *shape)) < 0.1).astype(np.uint8)
    return Dataset("synthetic", {"train": {"x": x}}, {"train": ""}, "binary", False)


def temporaries(experiment: experiments.Experiment) -> int:
    """Bytes that the compiled step needs beside its state and batch."""
    step = make_step(experiment.objective, experiment.optimizer)
    options = compiler.options(jax.default_backend())
    shapes = experiment.abstract_state(), *experiment.abstract_batch()
    memory: Any = jax.jit(step, compiler_options=options).lower(*shapes).compile().memory_analysis()
    return memory.temp_size_in_bytes


def per_pixel(config: ConfigDict, shape: tuple[int, int]) -> dict[str, float]:
    """Operations and bytes of temporaries of one step, for each pixel of its batch."""
    example = experiments.example_batch(frames(shape, config.train.batch_size))
    experiment = experiments.build(config, example)
    pixels = config.train.batch_size * shape[0] * shape[1]
    counted = cost.of_step(experiment).operations
    return {
        "operations": (counted.matmul_flops + counted.elementwise) / pixels,
        "temporary_bytes": temporaries(experiment) / pixels,
    }


def benchmark_tiled(
    sizes: tuple[tuple[int, int], ...] = SIZES, count: int = 3, rounds: int = 5
) -> dict[str, Any]:
    """The network of the Atari configs on images of three sizes, interleaved."""
    config = configs.load("darn/atari")
    rows = {
        f"{height}x{width}": benchmarks.our_step(config, frames((height, width), 100))[1]
        for height, width in sizes
    }
    times = benchmarks.interleaved(rows, count, rounds)
    pixels = [config.train.batch_size * height * width for height, width in sizes]
    return {
        "suite": "tiled",
        "network": f"the Atari configs' DARN, batch {config.train.batch_size}",
        "milliseconds_per_step": {k: benchmarks.quartiles(v) for k, v in times.items()},
        "nanoseconds_per_pixel": {
            name: benchmarks.quartiles(list(1e6 * np.array(times[name]) / n))
            for name, n in zip(rows, pixels, strict=True)
        },
        "per_pixel": {
            name: per_pixel(config, shape) for name, shape in zip(rows, sizes, strict=True)
        },
        "rounds": rounds,
        "steps_per_round": count,
        "hardware": workdir.hardware(),
        "versions": workdir.versions(),
    }
