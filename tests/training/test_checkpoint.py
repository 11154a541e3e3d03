"""Checkpoints: which are kept, which is found, and that they come back bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rlvm.training import state as states
from rlvm.training.checkpoint import Checkpoints
from rlvm.training.sharding import make_mesh

# A read that fails ends Orbax's event loop under reads that are still going on.
reads_broken_files = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
SHARDING = jax.sharding.SingleDeviceSharding(jax.devices()[0])
SPLIT = jax.sharding.NamedSharding(make_mesh(jax.devices(), 2), jax.sharding.PartitionSpec())


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


@pytest.mark.parametrize("sharding", [SHARDING, SPLIT])
def test_donated_buffers_do_not_reach_the_file(open_checkpoints, abstract, sharding):
    """The save runs in the background while the next dispatch reuses the state's memory."""
    checkpoints, state = open_checkpoints(), jax.device_put(state_at(3), sharding)
    overwrite = jax.jit(lambda s: jax.tree.map(lambda leaf: leaf * 0 - 1, s), donate_argnums=0)
    checkpoints.save(state)
    overwrite(state)
    checkpoints.wait()
    assert_is_step(checkpoints.restore("latest", abstract, SHARDING)[0], 3)


def test_a_reader_leaves_a_save_under_way_alone(open_checkpoints, abstract, tmp_path):
    checkpoints = open_checkpoints()
    checkpoints.save(state_at(4))
    checkpoints.wait()
    under_way = tmp_path / "checkpoints/latest/8.orbax-checkpoint-tmp"
    under_way.mkdir()
    reader = Checkpoints(tmp_path, writes=False)
    assert_is_step(reader.restore("latest", abstract, SHARDING)[0], 4)
    reader.close()
    assert under_way.exists()
    anew = open_checkpoints()
    anew.save(state_at(12))  # which waits for the cleaning
    anew.wait()
    assert not under_way.exists()  # what a run that starts anew finds is of a dead one
    empty = Checkpoints(tmp_path / "elsewhere", writes=False)
    with pytest.raises(ValueError, match="No checkpoint 'best'"):
        empty.step_of("best")
    assert not (tmp_path / "elsewhere").exists()


def damage(folder, how):
    """Cut every data file of a checkpoint short, or flip the bits in its middle."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name == "d"]
    assert files
    for path in files:
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 8] = bytes(255 - byte for byte in content[middle : middle + 8])
        path.write_bytes(content[:middle] if how == "cut" else content)


@reads_broken_files
@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_damaged_newest_falls_back_and_is_replaced(
    open_checkpoints, abstract, tmp_path, caplog, how
):
    checkpoints = open_checkpoints()
    for step in (4, 8):
        checkpoints.save(state_at(step))
    checkpoints.close()
    damage(tmp_path / "checkpoints/latest/8", how)
    reopened = open_checkpoints()
    state, name = reopened.restore("latest", abstract, SHARDING)
    assert name == "latest:4" and "Checkpoint latest:8 cannot be read" in caplog.text
    assert_is_step(state, 4)
    reopened.save(state_at(8))
    reopened.wait()
    assert_is_step(open_checkpoints().restore("latest", abstract, SHARDING)[0], 8)


@reads_broken_files
def test_the_regular_save_stands_in_for_a_damaged_best(open_checkpoints, abstract, tmp_path):
    checkpoints = open_checkpoints()
    checkpoints.save(state_at(4))
    checkpoints.save(state_at(4), best=True)
    checkpoints.close()
    damage(tmp_path / "checkpoints/best/4", "cut")
    for which in ("best", "4"):
        state, name = open_checkpoints().restore(which, abstract, SHARDING)
        assert name == "latest:4"
        assert_is_step(state, 4)


@reads_broken_files
def test_another_model_is_no_damage_to_fall_back_from(open_checkpoints):
    checkpoints = open_checkpoints()
    checkpoints.save(state_at(4))
    checkpoints.wait()
    other = state_at(4).replace(params={"w": jnp.ones((5, 5))})
    with pytest.raises(ValueError, match="No checkpoint can be read"):
        checkpoints.restore("latest", jax.eval_shape(lambda: other), SHARDING)
