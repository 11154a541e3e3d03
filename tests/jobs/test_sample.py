"""Samples of sequences: controls, lengths and missing values of the training rows."""

import numpy as np
import pytest

from rlvm.jobs import config as configs
from rlvm.jobs import load, sample
from rlvm.jobs.train import train

STEPS = 6


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny model of controlled real sequences of several lengths, one value missing."""
    folder = tmp_path_factory.mktemp("sample")
    rng = np.random.default_rng(0)
    lengths = np.tile([STEPS, 3], 10)
    inside = (np.arange(STEPS) < lengths[:, None])[..., None]
    u = np.where(inside, rng.normal(size=(20, STEPS, 1)), 0.0)
    x = np.where(inside, np.cumsum(u, axis=1) + rng.normal(size=(20, STEPS, 2)), 0.0)
    x[4, 1, 0] = np.nan
    np.savez(
        folder / "x.npz",
        train=x.astype(np.float32),
        train_lengths=lengths,
        train_controls=u.astype(np.float32),
    )
    config = configs.module("ssm/arrays").tiny().copy_and_resolve_references()
    config.data.path = str(folder / "x.npz")
    config.train.update(num_steps=2, eval_every=2, batch_size=8, steps_per_dispatch=2)
    train(config, folder / "work", data_dir=folder / "data")
    return folder


def test_as_many_samples_as_asked_for_beside_training_rows(run):
    arrays = sample.sample(run / "work", 5, seed=1, data_dir=run / "data")
    samples, near = arrays["samples"], arrays["nearest_train"]
    assert samples.shape == near.shape == (5, STEPS, 2)
    assert np.isfinite(samples).all() and np.abs(samples).max(axis=(1, 2)).min() > 0
    sample.save(arrays, str(run / "S.npz"), str(run / "S.png"), run / "work")
    assert (run / "S.png").stat().st_size > 1000


def test_controls_and_lengths_are_those_of_the_rows(run):
    model = load.load(run / "work")
    assert model.sample(5).shape == (5, STEPS, 2)
    rows = {"x": np.zeros((2, STEPS, 2)), "u": np.zeros((2, STEPS, 1)), "lengths": [6, 3]}
    rows["lengths"] = np.array(rows["lengths"])
    draws = np.asarray(model.sample(4, x=rows))
    assert (draws[1::2, 3:] == 0).all() and (draws[::2, 3:] != 0).all()
    pushed = np.asarray(model.sample(4, x={**rows, "u": rows["u"] + 5.0}))
    np.testing.assert_array_equal(pushed[:, 0], draws[:, 0])  # u_1 moves z_2
    assert (pushed[:, 1:3] != draws[:, 1:3]).all()


def test_an_fdarn_is_drawn_by_its_active_units(tmp_path, caplog):
    np.savez(tmp_path / "x.npz", train=np.random.default_rng(0).random((40, 9)) < 0.5)
    config = configs.module("darn/fdarn").tiny().copy_and_resolve_references()
    config.data.update(name="arrays", path=str(tmp_path / "x.npz"))
    config.train.update(num_steps=2, eval_every=2, batch_size=8, steps_per_dispatch=2)
    train(config, tmp_path / "work", data_dir=tmp_path / "data")
    with caplog.at_level("INFO"):
        arrays = sample.sample(tmp_path / "work", 5, data_dir=tmp_path / "data")
    assert arrays["samples"].shape == arrays["nearest_train"].shape == (5, 9)
    assert (arrays["multiplications"] % (9 + 4) == 0).all()
    assert "multiplications a draw: n_s (n_x + n_h) =" in caplog.text


def test_the_nearest_row_is_measured_on_what_it_has_observed():
    train = np.array([[0.0, 9.0], [1.0, np.nan], [np.nan, np.nan], [3.0, 3.0]])
    found = sample.nearest(np.array([[1.1, 50.0], [2.5, 3.0]]), train, 1.0, block=2)
    np.testing.assert_array_equal(found, train[[1, 3]])
