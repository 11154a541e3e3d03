"""The commands of state-space models, on ragged sequences with controls and missing values."""

import json

import numpy as np
import pytest
from commands import assert_one_line, command

from rlvm.inference.forecast import covered

TIMES, ROWS = 8, 60


@pytest.fixture(scope="module")
def sequences(environment, tmp_path_factory):
    """A workdir that launch/train.py made of real sequences."""
    folder, rng = tmp_path_factory.mktemp("sequences"), np.random.default_rng(0)
    u = rng.normal(size=(ROWS, TIMES, 2)).astype(np.float32)
    x = np.cumsum(u, axis=1) + 0.1 * rng.normal(size=u.shape).astype(np.float32)
    x[5, 3, 1] = np.nan
    lengths = np.where(np.arange(ROWS) % 10 == 0, 4, TIMES)
    splits = {"train": slice(0, 40), "valid": slice(40, 50), "test": slice(50, ROWS)}
    arrays = {name: x[rows] for name, rows in splits.items()}
    arrays |= {f"{name}_controls": u[rows] for name, rows in splits.items()}
    arrays |= {f"{name}_lengths": lengths[rows] for name, rows in splits.items()}
    np.savez(folder / "own.npz", **arrays)
    done = command(
        environment,
        "launch/train.py",
        "--config=tests/tiny_config.py:ssm/arrays",
        f"--config.data.path={folder / 'own.npz'}",
        "--config.model.conditioning=DKF",
        f"--workdir={folder / 'W'}",
    )
    assert done.returncode == 0, done.stderr
    assert "x is real: the emission is Gaussian, of scale 'learnable'." in done.stderr
    return folder / "W"


@pytest.mark.slow
def test_a_forecast_prints_its_scores_and_writes_its_futures(environment, sequences, tmp_path):
    done = command(
        environment,
        "launch/forecast.py",
        f"--workdir={sequences}",
        "--prefix=5",
        "--num_samples=20",
        "--num_particles=30",
        f"--output={tmp_path / 'F.npz'}",
        f"--figure={tmp_path / 'F.png'}",
    )
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout.splitlines()[-1])
    assert scores["num_sequences"] == 9  # one ends before
    arrays = np.load(tmp_path / "F.npz")
    assert arrays["samples"].shape == (20, 9, TIMES - 5, 2)
    inside = covered(arrays["samples"], arrays["truth"], 0.9).mean()
    assert scores["coverage_90"] == pytest.approx(inside)
    assert (tmp_path / "F.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_mistakes_with_sequences_are_one_line(environment, sequences, workdir):
    def asked(script, folder, *flags):
        return command(environment, f"launch/{script}.py", f"--workdir={folder}", *flags)

    assert_one_line(asked("forecast", sequences, "--prefix=8"), "prefix of 8", "expected 1 to 7")
    assert_one_line(asked("gap", workdir), "needs a state-space model", "'darn'")
    done = asked("evaluate", workdir, "--estimator=particle_filter")
    assert_one_line(done, "particle_filter needs a state-space model")
    done = asked("digits", sequences, "--classifier=C.msgpack", "--num_steps=1")
    assert_one_line(done, "mnist")
