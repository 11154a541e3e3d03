"""jit, pmap and sharded are the same computation, noise included, on eight fake devices."""

import dataclasses

import jax
import numpy as np
import pytest
import runs
import synthetic

from rlvm.training import parallel
from rlvm.training.checkpoint import Checkpoints

MODES = ["jit", "pmap", "sharded"]
SMALL = runs.small_config(**{"optimizer.ema_decay": 0.9, "optimizer.clip_norm": 1.0})


@pytest.fixture(scope="module")
def stepped():
    """Each mode after three steps on grey data that is binarized afresh."""
    draw = np.random.default_rng(0)
    splits = {name: synthetic.vectors(draw, 24, 12, "grey") for name in ("train", "valid")}
    data = synthetic.made(splits, kind="grey")
    done = {}
    for mode in MODES:
        done[mode] = runs.start(SMALL, data, mode)
        done[mode].totals = done[mode].steps(1, 2)
    return done


def test_there_are_eight_devices():
    assert jax.device_count() == 8


@pytest.mark.parametrize("mode", ["pmap", "sharded"])
def test_modes_agree_after_three_steps(stepped, mode):
    ours, jit = stepped[mode], stepped["jit"]
    assert int(jit.plain.step) == 3
    runs.assert_close(ours.plain, jit.plain, rtol=1e-5, atol=1e-5)
    runs.assert_close(ours.totals, jit.totals, rtol=1e-5, atol=1e-5)


def test_modes_agree_on_streamed_rows():
    """Each device is handed its own rows of a dispatch."""
    done = {}
    for mode in MODES:
        done[mode] = runs.start(SMALL, mode=mode, limit=1)
        assert type(done[mode].source).__name__ == "StreamSource"
        done[mode].steps(2, 1)
        held = {shard.data.shape for shard in done[mode].parallel._placed["x"].addressable_shards}
        assert held == {{"jit": (3, 8, 12), "pmap": (1, 3, 1, 12), "sharded": (3, 1, 12)}[mode]}
    for mode in ("pmap", "sharded"):
        runs.assert_close(done[mode].plain, done["jit"].plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_the_work_is_on_the_devices_it_should_be(stepped, mode):
    leaf = jax.tree.leaves(stepped[mode].state.params)[0]
    assert len(leaf.sharding.device_set) == (1 if mode == "jit" else 8)
    inputs = stepped[mode].source.inputs(3, 1)
    text = stepped[mode].parallel.lower(stepped[mode].state, inputs).compile().as_text()
    assert ("all-reduce" in text) == (mode != "jit")
    if mode == "sharded":  # each device draws the noise of one example of the eight
        assert "f32[1,1,3]" in text or "f32[1,1,12]" in text


@pytest.mark.parametrize("mode", MODES)
def test_splits_of_a_dispatch_are_bit_equal(stepped, mode):
    whole = runs.start(SMALL, None, mode)
    parts = dataclasses.replace(whole, state=whole.parallel.place(whole.experiment.initial_state()))
    of_five, of_two = whole.steps(5), parts.steps(2, 1, 2)
    runs.assert_equal(whole.plain, parts.plain)
    last = [float(totals["sums"]["gradient_norm"]) for totals in (of_five, of_two)]
    assert last[0] / 5 == pytest.approx(last[1] / 2, rel=1e-6)  # the norm of the fifth step


@pytest.mark.parametrize(
    ("saved", "restored", "devices"), [("pmap", "sharded", 4), ("jit", "pmap", 2)]
)
def test_checkpoints_move_between_modes_and_device_counts(tmp_path, saved, restored, devices):
    first = runs.start(SMALL, None, saved)
    first.steps(2)
    with_state = Checkpoints(tmp_path)
    with_state.save(first.parallel.collect(first.state))
    with_state.close()
    second = runs.start(SMALL, None, restored, jax.devices()[:devices])
    checkpoints = Checkpoints(tmp_path)
    state, name = checkpoints.restore(
        "latest", second.experiment.abstract_state(), second.parallel.replicated
    )
    checkpoints.close()
    assert name == "latest:2"
    runs.assert_equal(jax.tree.map(np.asarray, state), first.plain)
    second.state = second.parallel.place(state)
    second.steps(2)
    first.steps(2)
    runs.assert_close(second.plain, first.plain, rtol=1e-5, atol=1e-5)


def test_bad_modes_and_batch_sizes_are_refused():
    with pytest.raises(ValueError, match=r"No parallel mode 'ddp'. Modes: jit, pmap, sharded"):
        parallel.axis_name("ddp")
    with pytest.raises(ValueError, match="batch_size=12 does not divide over 8 devices"):
        runs.start(runs.small_config(**{"train.batch_size": 12}), None, "pmap")
