"""The locally connected DARN costs the same for each pixel of a small image and of a large one."""

import numpy as np
import pytest

from rlvm.jobs import benchmark_tiled
from rlvm.jobs import config as configs

SIDES = (60, 116, 172)  # the layers' strides and periods divide them


@pytest.mark.slow
def test_operations_and_memory_grow_by_the_same_for_each_further_pixel():
    config = configs.load("darn/atari", **{"train.batch_size": 16, "model.features": 8})
    pixels = np.array([n * n for n in SIDES])
    found = [benchmark_tiled.per_pixel(config, (n, n)) for n in SIDES]
    for quantity in ("operations", "temporary_bytes"):
        total = pixels * [row[quantity] for row in found]
        first, second = np.diff(total) / np.diff(pixels)
        assert second == pytest.approx(first, rel=0.05), quantity


def test_a_small_run_has_every_row(monkeypatch):
    monkeypatch.setattr(
        benchmark_tiled.configs, "load", lambda _: configs.module("darn/atari").tiny()
    )
    result = benchmark_tiled.benchmark_tiled(sizes=((8, 9), (16, 9)), count=1, rounds=1)
    assert list(result["milliseconds_per_step"]) == ["8x9", "16x9"] == list(result["per_pixel"])
    assert all(row["temporary_bytes"] > 0 for row in result["per_pixel"].values())
    found, rows = result["milliseconds_per_step"]["8x9"][1], result["nanoseconds_per_pixel"]
    assert rows["8x9"][1] == pytest.approx(found * 1e6 / (20 * 72), rel=0.01)
