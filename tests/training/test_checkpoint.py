"""Checkpoints: which are kept, which is found, and that they come back bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rlvm.training import state as states
from rlvm.training.checkpoint import Checkpoints

SHARDING = jax.sharding.SingleDeviceSharding(jax.devices()[0])


def state_at(step):
    variables = {"params": {"w": jnp.full((2, 3), float(step))}, "statistics": jnp.ones(2) * step}
    state = states.create(variables, optax.adam(0.1), ema=True)
    return state.replace(step=jnp.int32(step), best_value=jnp.float32(step / 3))


@pytest.fixture
def abstract():
    return jax.eval_shape(lambda: state_at(0))


@pytest.fixture
def open_checkpoints(tmp_path):
    opened = []

    def open_(keep=2):
        opened.append(Checkpoints(tmp_path, keep))
        return opened[-1]

    yield open_
    for checkpoints in opened:
        checkpoints.close()


def assert_is_step(restored, step):
    jax.tree.map(np.testing.assert_array_equal, restored, state_at(step))


def test_round_trip_and_keep_n(open_checkpoints, abstract):
    checkpoints = open_checkpoints()
    assert checkpoints.latest_step() is None
    for step in (1, 2, 3):
        checkpoints.save(state_at(step))
    checkpoints.save(state_at(2), best=True)
    checkpoints.wait()
    reopened = open_checkpoints()
    assert reopened.steps() == {"best": [2], "latest": [2, 3]}
    for which, step, name in [
        ("latest", 3, "latest:3"),
        ("best", 2, "best:2"),
        ("3", 3, "latest:3"),
        ("2", 2, "latest:2"),
    ]:
        state, found = reopened.restore(which, abstract, SHARDING)
        assert found == name
        assert_is_step(state, step)


def test_best_falls_back_to_the_newest(open_checkpoints, abstract):
    checkpoints = open_checkpoints()
    checkpoints.save(state_at(5))
    checkpoints.wait()
    state, name = checkpoints.restore("best", abstract, SHARDING)
    assert name == "latest:5"
    assert_is_step(state, 5)


def test_only_one_best_is_kept(open_checkpoints, abstract):
    checkpoints = open_checkpoints()
    for step in (4, 8):
        checkpoints.save(state_at(step), best=True)
    checkpoints.wait()
    assert checkpoints.steps()["best"] == [8]
    assert_is_step(checkpoints.restore("8", abstract, SHARDING)[0], 8)


def test_a_best_newer_than_the_latest_is_where_a_killed_run_resumes(open_checkpoints, abstract):
    """Otherwise the best of an abandoned future would stand in the way of a new one."""
    checkpoints = open_checkpoints()
    checkpoints.save(state_at(4))
    checkpoints.save(state_at(6), best=True)
    checkpoints.wait()
    assert checkpoints.latest_step() == 6
    state, name = checkpoints.restore("latest", abstract, SHARDING)
    assert name == "best:6"
    assert_is_step(state, 6)


@pytest.mark.parametrize("which", ["best", "latest", "7", "newest"])
def test_what_is_not_there_is_said(open_checkpoints, abstract, which):
    with pytest.raises(ValueError, match=f"No checkpoint '{which}'. Checkpoints: "):
        open_checkpoints().restore(which, abstract, SHARDING)


def test_saving_a_step_twice_keeps_the_first(open_checkpoints, abstract):
    checkpoints = open_checkpoints()
    checkpoints.save(state_at(3))
    checkpoints.wait()
    checkpoints.save(state_at(3).replace(rate_scale=jnp.float32(9)))
    checkpoints.wait()
    assert_is_step(checkpoints.restore("latest", abstract, SHARDING)[0], 3)


def test_donated_buffers_do_not_reach_the_file(open_checkpoints, abstract):
    """The save runs in the background while the next dispatch reuses the state's memory."""
    checkpoints, state = open_checkpoints(), jax.device_put(state_at(3), SHARDING)
    overwrite = jax.jit(lambda s: jax.tree.map(lambda leaf: leaf * 0 - 1, s), donate_argnums=0)
    checkpoints.save(state)
    overwrite(state)
    checkpoints.wait()
    assert_is_step(checkpoints.restore("latest", abstract, SHARDING)[0], 3)
