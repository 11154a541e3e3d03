import os
from pathlib import Path

import numpy as np
import pytest

from rlvm.data import dataset, source


@pytest.fixture(scope="session")
def own_split(tmp_path_factory):
    """The generated Connect-4 set and the data_dir it was prepared in."""
    data_dir = tmp_path_factory.mktemp("connect4")
    return dataset.load("connect4/own_split", data_dir=data_dir), data_dir


@pytest.fixture
def manual_dir():
    folder = os.environ.get("RLVM_MANUAL_DIR")
    if not folder:
        pytest.skip("RLVM_MANUAL_DIR names no folder")
    return Path(folder)


@pytest.fixture
def toy(monkeypatch):
    """A data set 'toy' of two variants, of sequences, as the file rlvm/data/toy.py would define."""
    reads = []

    def read(variant, files):
        reads.append((variant, files.seed))
        rows = np.random.default_rng(files.seed).integers(0, 2, (9, 5, 3)).astype(np.uint8)
        controls = np.linspace(0, 1, 9 * 5, dtype=np.float32).reshape(9, 5, 1)
        lengths = np.arange(1, 10, dtype=np.int32).clip(1, 5)
        return {
            "train": {"x": rows[:6], "lengths": lengths[:6], "u": controls[:6]},
            "test": {"x": rows[6:, :4], "lengths": lengths[6:].clip(1, 4), "u": controls[6:, :4]},
        }

    toy = source.Source(
        version="1.0.0",
        description="Random sequences.",
        variants={"drawn": source.Variant("binary", seeded=True), "other": source.Variant("real")},
        read=read,
    )
    find = dataset._find
    monkeypatch.setattr(dataset, "_find", lambda base: toy if base == "toy" else find(base))
    return reads
