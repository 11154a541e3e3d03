"""The built wheel works on its own, outside the checkout."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]


def run(*command, cwd, path):
    environment = {**os.environ, "PYTHONPATH": str(path), "XLA_FLAGS": ""}
    finished = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-2000:]
    return finished.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with what the wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("rlvm", "configs", "launch"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--wheel-dir", folder, source, cwd=folder, path="")
    (wheel,) = folder.glob("rlvm-*.whl")
    target = folder / "installed"
    run(*pip, "install", "--no-deps", "--target", target, wheel, cwd=folder, path="")
    return target


@pytest.mark.slow
def test_wheel_trains_evaluates_and_samples(installed, tmp_path):
    x = (np.random.default_rng(0).random((200, 8)) < 0.3).astype(np.uint8)
    np.savez(tmp_path / "own.npz", train=x, test=x[:50])
    python = (sys.executable, "-m")
    where = run(
        sys.executable, "-c", "import rlvm; print(rlvm.__file__)", cwd=tmp_path, path=installed
    )
    assert where.strip().startswith(str(installed))
    folders = ("--workdir=run", "--data_dir=data")
    run(
        *python,
        "rlvm.launch.train",
        "--config=darn/arrays",
        "--config.data.path=own.npz",
        "--config.train.num_steps=20",
        *folders,
        cwd=tmp_path,
        path=installed,
    )
    printed = run(
        *python, "rlvm.launch.evaluate", *folders, "--repeats=2", cwd=tmp_path, path=installed
    )
    result = json.loads(printed.splitlines()[-1])
    assert result["num_examples"] == 50 and result["commit"] is None
    run(*python, "rlvm.launch.sample", *folders, "--output=s.npz", cwd=tmp_path, path=installed)
    assert np.load(tmp_path / "s.npz")["samples"].shape == (64, 8)


@pytest.mark.slow
def test_wheel_holds_results_and_scripts(installed):
    assert (installed / "rlvm/configs/darn/published.jsonl").exists()
    assert (installed / "rlvm/launch/train.py").exists()
