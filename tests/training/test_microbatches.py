"""Accumulated updates are the big batch's update, noise included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs

from rlvm.training import parallel
from rlvm.training.microbatches import in_microbatches, join, split
from rlvm.training.step import make_step

CONFIG = runs.small_config(**{"optimizer.ema_decay": 0.9, "optimizer.clip_norm": 1.0})


def accumulating(mode, count, devices):
    """A run of CONFIG whose step works in `count` microbatches."""

    def rebuilt(step):
        experiment = runs.experiments.build(CONFIG, {"x": np.zeros((2, 12), np.float32)})
        return make_step(
            experiment.objective,
            experiment.optimizer,
            CONFIG.optimizer.ema_decay,
            parallel.axis_name(mode),
            count,
        )

    return runs.start(CONFIG, mode=mode, devices=jax.devices()[:devices], step_wrapper=rebuilt)


@pytest.fixture(scope="module")
def big_batch():
    run = runs.start(CONFIG)
    return run, run.steps(3)


@pytest.mark.parametrize(
    ("mode", "count", "devices"),
    [("jit", 4, 1), pytest.param("pmap", 2, 2, marks=pytest.mark.slow)],
)
def test_three_updates_are_those_of_the_whole_batch(big_batch, mode, count, devices):
    expected, metrics = big_batch
    run = accumulating(mode, count, devices)
    totals = run.steps(3)
    runs.assert_close(run.plain, expected.plain, rtol=1e-5, atol=1e-5)
    runs.assert_close(totals, metrics, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_sharded_microbatches_stay_on_their_devices(big_batch):
    expected, _ = big_batch
    run = accumulating("sharded", 2, 2)
    text = run.parallel.lower(run.state, run.source.inputs(0, 1)).compile().as_text()
    assert "all-to-all" not in text and "collective-permute" not in text
    run.steps(3)
    runs.assert_close(run.plain, expected.plain, rtol=1e-5, atol=1e-5)


def quadratic(params, extra, batch, rng):
    """Loss (w - x)^2, its mean over the real examples; `extra` follows the mean of x."""
    del rng
    terms = jnp.square(params["w"] - batch["x"])
    mean = lambda value: jnp.sum(value * batch["mask"]) / jnp.maximum(batch["mask"].sum(), 1)  # noqa: E731
    moved = {"x": 0.5 * extra["x"] + 0.5 * mean(batch["x"])}
    return mean(terms) + batch["step"], (moved, {"square": terms})


def test_masked_examples_weigh_nothing_in_any_part():
    x, mask = np.arange(6.0), np.array([1, 1, 0, 1, 0, 1.0])
    batch = {"x": jnp.asarray(x), "mask": jnp.asarray(mask), "step": 3}
    gradient = in_microbatches(jax.value_and_grad(quadratic, has_aux=True), 3)
    keys = jax.random.split(jax.random.key(0), 6)
    params, extra = {"w": jnp.array(2.0)}, {"x": jnp.array(8.0)}
    (loss, (extra, terms)), grads = gradient(params, extra, batch, keys)
    real = x[mask > 0]
    np.testing.assert_allclose(loss, np.mean((2 - real) ** 2) + 3, rtol=1e-6)
    np.testing.assert_allclose(grads["w"], np.mean(2 * (2 - real)), rtol=1e-6)
    np.testing.assert_allclose(extra["x"], 4 + 0.5 * real.mean(), rtol=1e-6)
    np.testing.assert_allclose(terms["square"], (2 - x) ** 2, rtol=1e-6)


def test_splitting_takes_every_nth_row_and_joins_again():
    rows = np.arange(12).reshape(6, 2)
    parts = split(rows, 3)
    np.testing.assert_array_equal(parts[1], rows[1::3])
    np.testing.assert_array_equal(join(parts), rows)


def test_parts_must_be_equal():
    with pytest.raises(ValueError, match="accumulate_steps=3 does not divide the 8 examples"):
        accumulating("jit", 3, 1).steps(1)
