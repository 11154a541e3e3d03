import os

import commands
import numpy as np
import pytest


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """One device, folders of its own, a compilation cache shared by all commands here."""
    folder = tmp_path_factory.mktemp("launch")
    kept = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "NPROC")}
    return {**kept, "RLVM_DATA": str(folder / "data"), "RLVM_CACHE": str(folder / "cache")}


@pytest.fixture(scope="session")
def own_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "own.npz"
    rows = np.random.default_rng(0).integers(0, 2, (60, 10)).astype(np.uint8)
    np.savez(path, train=rows[:40], valid=rows[40:50], test=rows[50:])
    return path


@pytest.fixture(scope="session")
def workdir(environment, own_file, tmp_path_factory):
    """A workdir that launch/train.py made."""
    folder = tmp_path_factory.mktemp("run") / "W"
    done = commands.command(environment, *commands.train_arguments(own_file, folder))
    assert done.returncode == 0, done.stderr
    return folder
