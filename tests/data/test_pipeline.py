"""Batches follow from (seed, step) alone, and no example is lost or seen twice."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvm.data.dataset import Dataset
from rlvm.data.pipeline import (
    Decoder,
    DeviceSource,
    StreamSource,
    evaluation_batches,
    example_keys,
    stored_one,
    training_source,
)

BINARY = Decoder("binary", False)
SIZE, BATCH = 24, 6
ROWS = {
    "x": ((np.arange(SIZE)[:, None] >> np.arange(5)) & 1).astype(np.uint8),
    "y": np.arange(SIZE),
}
GREY = {"x": np.random.default_rng(0).integers(0, 256, (SIZE, 5)).astype(np.uint8), "y": ROWS["y"]}


def numbers(batch):
    return np.asarray(batch["x"], int) @ (1 << np.arange(5))


def source_of(kind, rows=ROWS, batch=BATCH, seed=0, decoder=BINARY, dispatch=4):
    if kind == "device":
        return DeviceSource(rows, batch, seed, decoder)
    return StreamSource(rows, batch, seed, decoder, dispatch)


def batches(source, start, count, key=0, positions=None):
    """Batches start .. start + count - 1, as a run hands them out: in dispatches of four."""
    positions = jnp.arange(source.batch_size) if positions is None else positions
    step_of = jax.jit(source.batch)
    out = []
    while len(out) < count:
        first = start + len(out)
        size = min(4, count - len(out))
        inputs = jax.tree.map(jnp.asarray, source.inputs(first, size))
        for step in range(first, first + size):
            step_key = jax.random.fold_in(jax.random.key(key), step)
            out.append(step_of(inputs, jnp.int32(first), jnp.int32(step), positions, step_key))
    return out


KINDS = pytest.mark.parametrize("kind", ["device", "stream"])


@KINDS
def test_every_row_once_per_epoch_and_every_epoch_in_its_own_order(kind):
    drawn = [numbers(b) for b in batches(source_of(kind), 0, 12)]  # three epochs of four
    epochs = [np.concatenate(drawn[e : e + 4]) for e in (0, 4, 8)]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(SIZE))
    assert len({tuple(epoch) for epoch in epochs}) == 3


@KINDS
def test_fields_stay_together(kind):
    for batch in batches(source_of(kind), 0, 3):
        np.testing.assert_array_equal(numbers(batch), batch["y"])
        np.testing.assert_array_equal(batch["mask"], np.ones(BATCH))


@KINDS
@pytest.mark.parametrize("start", [1, 3, 6])
def test_batches_are_the_same_from_any_start(kind, start):
    whole = [numbers(b) for b in batches(source_of(kind), 0, 9)]
    resumed = [numbers(b) for b in batches(source_of(kind), start, 9 - start)]
    np.testing.assert_array_equal(whole[start:], resumed)


@KINDS
def test_the_seed_decides_the_order(kind):
    first, second = (batches(source_of(kind, seed=s), 0, 1)[0] for s in (0, 1))
    assert not np.array_equal(numbers(first), numbers(second))


@KINDS
def test_a_device_sees_its_part_of_the_global_batch(kind):
    source = source_of(kind, GREY, decoder=Decoder("grey", True))
    whole = batches(source, 5, 1)[0]
    inputs, positions = source.inputs(5, 1), jnp.asarray([2, 3])
    if source.streamed:  # it is handed nothing else
        inputs = {name: rows[:, 2:4] for name, rows in inputs.items()}
    key = jax.random.fold_in(jax.random.key(0), 5)
    part = source.batch(inputs, jnp.int32(5), jnp.int32(5), positions, key)
    np.testing.assert_array_equal(whole["x"][2:4], part["x"])


class Read:
    """An array that remembers which of its rows were read."""

    def __init__(self, array):
        self.array, self.rows = array, []

    def __len__(self):
        return len(self.array)

    def __getitem__(self, index):
        self.rows.append(index)
        return self.array[index]


@pytest.mark.parametrize("number", [2, 3])
def test_processes_read_their_own_rows_of_the_same_batches(number):
    """Process p reads p::P; together they give the batch of one process, draws included."""
    grey = Decoder("grey", True)
    one = source_of("stream", GREY, decoder=grey)
    arrays = [{name: Read(array) for name, array in GREY.items()} for _ in range(number)]
    many = [StreamSource(arrays[p], BATCH, 0, grey, 4, p, number) for p in range(number)]
    for start in (0, 4):
        parts = [source.inputs(start, 4) for source in many]
        whole = one.inputs(start, 4)
        for p, part in enumerate(parts):
            np.testing.assert_array_equal(part["y"], whole["y"][:, p::number])
            np.testing.assert_array_equal(ROWS["y"][arrays[p]["x"].rows[-1]], part["y"])
        together = {name: np.concatenate([part[name] for part in parts], 1) for name in GREY}
        step, key = jnp.int32(start + 1), jax.random.key(3)
        positions = many[0].positions()
        assert sorted(positions.tolist()) == list(range(BATCH))
        ours = many[0].batch(together, jnp.int32(start), step, positions, key)
        alone = one.batch(whole, jnp.int32(start), step, one.positions(), key)
        for name in ("x", "y"):
            np.testing.assert_array_equal(ours[name], alone[name][positions])


def test_a_ragged_epoch_leaves_out_less_than_a_batch():
    drawn = [numbers(b) for b in batches(source_of("device", batch=7), 0, 3)]
    assert len(np.unique(np.concatenate(drawn))) == 21


def test_grey_rows_are_drawn_afresh_with_their_own_probability():
    rows = {"x": np.tile(np.array([0, 51, 204, 255], np.uint8), (SIZE, 1))}
    source = source_of("device", rows, decoder=Decoder("grey", True))
    x = np.stack([b["x"] for b in batches(source, 0, 200)])  # [steps, B, D]
    np.testing.assert_allclose(x.mean((0, 1)), [0, 0.2, 0.8, 1], atol=0.04)
    assert np.abs(np.corrcoef(x[:, 0, 1], x[:, 1, 1])[0, 1]) < 0.25
    assert not np.array_equal(x[0], x[1])


def test_grey_without_binarizing_is_scaled():
    batch = Decoder("grey", False)({"x": jnp.asarray([[0, 51, 255]], jnp.uint8)}, None)
    np.testing.assert_allclose(batch["x"], [[0, 0.2, 1]], rtol=1e-6)


def test_bits_of_the_data_and_noise_of_the_model_are_never_the_same():
    """Row p is binarized by a key that no draw of any example of the step uses."""
    seen = []

    @dataclasses.dataclass(frozen=True)
    class Spy:
        def __call__(self, rows, noise):
            seen.append(noise)
            return rows

    source = source_of("device", decoder=Spy())
    key, positions = jax.random.key(9), jnp.arange(BATCH)
    inputs = source.inputs(0, 1)
    source.batch(inputs, jnp.int32(0), jnp.int32(0), positions, key)
    noise = example_keys(key, positions)  # what the step hands to the objective
    draws = [jax.random.fold_in(k, s) for k in noise for s in range(8)]
    data_of = {tuple(np.asarray(jax.random.key_data(k)).tolist()) for k in seen[0]}
    used = {tuple(np.asarray(jax.random.key_data(k)).tolist()) for k in [*noise, *draws]}
    assert len(data_of) == BATCH and not data_of & used


@pytest.mark.parametrize(("size", "limit"), [(10, None), (8, None), (10, 7), (3, 100), (1, None)])
def test_evaluation_batches_neither_drop_nor_double(size, limit):
    rows = {"x": np.arange(size)[:, None]}
    seen, shapes = [], set()
    for batch, mask, positions in evaluation_batches(rows, 4, limit):
        shapes.add(batch["x"].shape)
        seen.extend(batch["x"][mask > 0, 0])
        np.testing.assert_array_equal(positions[mask > 0], batch["x"][mask > 0, 0])
    np.testing.assert_array_equal(seen, np.arange(min(size, limit or size)))
    assert shapes == {(4, 1)}


def data_set(rows):
    return Dataset("toy", {"train": rows}, {}, "binary", False)


LABELS = np.where(np.arange(SIZE) % 3 == 0, ROWS["y"], -1)  # a third of the rows has one


def test_a_batch_has_its_number_of_labels():
    source = training_source(data_set({**ROWS, "y": LABELS}), BATCH, 0, 4, labelled=4)
    drawn = batches(source, 0, 8)
    for batch in drawn:
        np.testing.assert_array_equal(batch["y"] >= 0, [True] * 4 + [False] * 2)
        np.testing.assert_array_equal(batch["y"][:4], numbers(batch)[:4])
    for first in range(0, 8, 2):  # an epoch of the eight labelled rows is two batches
        epoch = np.concatenate([batch["y"][:4] for batch in drawn[first : first + 2]])
        np.testing.assert_array_equal(np.sort(epoch), LABELS[LABELS >= 0])
    others = np.concatenate([numbers(batch)[4:] for batch in drawn])  # one epoch of the sixteen
    np.testing.assert_array_equal(np.sort(others), np.flatnonzero(LABELS < 0))
    halves = [batches(source, 3, 1, positions=part)[0] for part in np.split(np.arange(BATCH), 2)]
    together = np.concatenate([numbers(half) for half in halves])
    np.testing.assert_array_equal(together, numbers(drawn[3]))


@pytest.mark.parametrize(
    ("labelled", "limit", "message"),
    [
        (6, 10**6, "labelled_per_batch is 6 of 6: 0 unlabelled examples a batch, of 16 in train"),
        (4, 100, "labelled_per_batch needs a train split on device, below 100 bytes"),
    ],
)
def test_labels_a_batch_cannot_have_are_refused(labelled, limit, message):
    with pytest.raises(ValueError, match=message):
        training_source(data_set({**ROWS, "y": LABELS}), BATCH, 0, 4, limit, labelled=labelled)


def test_labels_and_buckets_do_not_both_make_up_batches():
    ragged = {**ROWS, "y": LABELS, "lengths": np.ones(len(LABELS), np.int32)}
    with pytest.raises(ValueError, match=r"labelled_per_batch=4 and train\.num_buckets=2"):
        training_source(data_set(ragged), BATCH, 0, 4, num_buckets=2, labelled=4)


def test_large_splits_stream():
    kinds = [type(training_source(data_set(ROWS), 6, 0, 4, limit)) for limit in (10**6, 100)]
    assert kinds == [DeviceSource, StreamSource]


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(ValueError, match="batch_size is 25, but toy has 24 training rows"):
        training_source(data_set(ROWS), 25, 0, 4)


@pytest.mark.parametrize(
    ("kind", "binarize", "one"),
    [("binary", False, 1.0), ("real", False, 1.0), ("grey", False, 255.0), ("binary", True, 255.0)],
)
def test_the_stored_one_is_what_a_batch_reads_as_one(kind, binarize, one):
    rows = {"x": np.full((2, 3), one, np.float32)}
    keys = jax.random.split(jax.random.key(0), 2)
    assert stored_one(kind, binarize) == one
    np.testing.assert_array_equal(Decoder(kind, binarize)(rows, keys)["x"], 1.0)
