"""The second run on train and validation, and the schedule of the first."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rlvm.data.dataset import Dataset
from rlvm.jobs import config as configs
from rlvm.jobs import retrain
from rlvm.training import optimizer
from rlvm.training import state as states


def run_of(values, least_scale):
    """The rate scale after each validation, as the state of a run holds it."""
    state = states.create({"params": {}}, optax.sgd(1.0), ema=False)
    scales = []
    for value in values:
        state = states.after_validation(state, jnp.float32(value), least_scale)
        scales.append(float(state.rate_scale))
    return scales


def test_a_rise_halves_the_rate_down_to_the_floor():
    values = [5.0, 4.0, 4.5, 3.0, 3.0, 3.5, 3.4, 3.6, 2.0]
    assert run_of(values, 0.3) == pytest.approx([1, 1, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3])
    assert run_of(values, 1.0) == [1.0] * len(values)
    steps = range(10, 100, 10)
    assert retrain.halved_at(zip(steps, values, strict=True), 0.3) == [30, 60]


def test_the_second_run_halves_and_ends_after_as_many_epochs():
    config = configs.load("ladder/occluded_moving_mnist")
    config.objective.transpose_until = 2000
    values = [0.5, 0.4, 0.45, 0.2, 0.3]
    lines = [{"step": 800 * k, "valid/class_error": v} for k, v in enumerate(values, 1)]
    splits = {"train": {"x": np.zeros((40, 2))}, "valid": {"x": np.zeros((10, 2))}}
    data = Dataset("made", splits, {}, "grey", False)
    again = retrain.settled(config, lines, data)
    assert again.optimizer.halve_at == (3000,) and again.train.num_steps == 4000
    assert again.objective.transpose_until == 2500
    assert again.data.with_validation and again.optimizer.least_scale == 1.0
    rate = optimizer.schedule(again.optimizer, again.train.num_steps)
    np.testing.assert_allclose([rate(2999), rate(3001)], [1e-3, 5e-4])
    with pytest.raises(ValueError, match="no 'valid/class_error'"):
        retrain.settled(config, [{"step": 100, "train/loss": 1.0}], data)


def test_validation_examples_follow_those_of_train():
    train = {"x": np.ones((2, 3, 4), np.uint8), "lengths": np.array([3, 2])}
    valid = {"x": 2 * np.ones((1, 5, 4), np.uint8), "lengths": np.array([5])}
    data = Dataset("made", {"train": train, "valid": valid}, {}, "binary", False)
    both = data.with_validation().splits["train"]
    assert both["x"].shape == (3, 5, 4) and both["x"].dtype == np.uint8
    np.testing.assert_array_equal(both["lengths"], [3, 2, 5])
    assert both["x"][0, 3:].sum() == 0 and both["x"][2].sum() == 40
    assert data.with_validation().splits["valid"] is valid
