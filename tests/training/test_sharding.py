"""A state split over `fsdp` devices takes the same steps, and each device holds only its shard."""

import jax
import numpy as np
import pytest
import runs
from jax.sharding import PartitionSpec

from rlvm.training import sharding
from rlvm.training.checkpoint import Checkpoints

CONFIG = {
    "model.deterministic_units": (8,),
    "optimizer.ema_decay": 0.9,
    "optimizer.clip_norm": 1.0,
}
ENCODER = "encoders_0/Dense_0/kernel"  # [8, 3]


def begun(fsdp=1, rules=(), mode="sharded", devices=None):
    more = {"sharding.fsdp": fsdp, "sharding.rules": rules}
    return runs.start(runs.small_config(**CONFIG, **more), mode=mode, devices=devices)


@pytest.fixture(scope="module")
def jitted():
    run = begun(mode="jit")
    run.steps(3)
    return run


@pytest.fixture(scope="module")
def split():
    """Two copies of the state, each split over four devices."""
    run = begun(fsdp=4)
    run.steps(1, 2)
    return run


def shards(leaf):
    """The shapes that devices hold, and how much of the leaf they hold together."""
    held = {shard.device: shard.data.shape for shard in leaf.addressable_shards}
    assert len(held) == 8
    return set(held.values()), sum(int(np.prod(shape)) for shape in held.values()) / leaf.size


def test_a_split_state_takes_the_steps_of_jit(split, jitted):
    assert int(split.plain.step) == 3
    runs.assert_close(split.plain, jitted.plain, rtol=1e-5, atol=1e-5)


def test_each_device_holds_its_shard_of_every_kernel_and_of_its_copies(split):
    state = split.state
    assert shards(state.params["encoders_0"]["MLP_0"]["Dense_0"]["kernel"]) == ({(3, 8)}, 2)
    adam = next(part for part in jax.tree.leaves(state.opt_state, is_leaf=is_adam) if is_adam(part))
    for tree in (state.params, state.ema, adam.mu, adam.nu):
        for path, leaf in sharding.leaves(tree):
            kernel = leaf.ndim > 1 and any(length % 4 == 0 for length in leaf.shape)
            shapes, copies = shards(leaf)
            assert len(shapes) == 1 and copies == (2 if kernel else 8), path
    assert shards(state.step) == ({()}, 8)


def is_adam(part):
    return hasattr(part, "mu")


def test_rules_choose_the_dimension(jitted):
    run = begun(fsdp=2, rules=((ENCODER, 0), ("visibles.*kernel", None), ("prior.*bias", None)))
    run.steps(3)
    params = run.state.params
    assert shards(params["encoders_0"]["Dense_0"]["kernel"]) == ({(4, 3)}, 4)
    assert shards(params["visibles"]["Dense_0"]["kernel"]) == ({(8, 12)}, 8)
    runs.assert_close(run.plain, jitted.plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("mode", "fsdp", "devices"), [("jit", 1, 8), ("sharded", 2, 2)])
def test_checkpoints_move_between_splits(split, tmp_path, mode, fsdp, devices):
    with_state = Checkpoints(tmp_path)
    with_state.save(split.parallel.stored(split.state))
    with_state.close()
    second = begun(fsdp, mode=mode, devices=jax.devices()[:devices])
    checkpoints = Checkpoints(tmp_path)
    abstract = second.experiment.abstract_state()
    shardings = second.parallel.shardings(abstract)
    state, _ = checkpoints.restore("latest", abstract, shardings)
    checkpoints.close()
    assert jax.tree.map(lambda leaf: leaf.sharding, state) == shardings
    second.state = second.parallel.place(state)
    runs.assert_equal(second.plain, split.plain)
    second.steps(2)
    whole = begun(mode="jit")
    whole.steps(5)
    runs.assert_close(second.plain, whole.plain, rtol=1e-5, atol=1e-5)


def test_by_default_the_largest_dimension_that_divides():
    arrays = {
        "wide": np.zeros((6, 10)),
        "odd": np.zeros((3, 5)),
        "deep": np.zeros((9, 4, 2)),
        "bias": np.zeros(4),
    }
    assert sharding.parameter_specs(arrays, (), 2) == {
        ("wide",): PartitionSpec(None, "fsdp"),
        ("odd",): PartitionSpec(),
        ("deep",): PartitionSpec(None, "fsdp"),
        ("bias",): PartitionSpec(),
    }
    by_rule = sharding.parameter_specs(arrays, (("bias", 0), ("^d", -1), (".", None)), 2)
    assert by_rule[("bias",)] == PartitionSpec("fsdp")
    assert by_rule[("deep",)] == PartitionSpec(None, None, "fsdp")
    assert by_rule[("wide",)] == PartitionSpec()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rules": (("encoder_0", 0),)}, r"no parameter's path matches 'encoder_0'. Parameters: "),
        ({"rules": ((ENCODER, 1),)}, rf"dimension 1 of {ENCODER} \[8, 3\] does not divide .*=2"),
        ({"rules": ((ENCODER, 2),)}, rf"{ENCODER} \[8, 3\] has no dimension 2"),
        ({"fsdp": 3}, "sharding.fsdp=3 does not divide 8 devices"),
        ({"mode": "pmap"}, "sharding.fsdp=2 needs parallel=sharded; it is pmap"),
    ],
)
def test_what_cannot_be_split_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        begun(**{"fsdp": 2, **changes})
