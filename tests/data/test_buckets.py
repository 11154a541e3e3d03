"""Buckets: the least padding, whole batches of one bucket, every row in turn."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvm.data.buckets import Buckets, longest
from rlvm.data.pipeline import Decoder, DeviceSource


def padded_steps(lengths, ends):
    return sum(min(end for end in ends if end >= length) for length in lengths)


@pytest.mark.parametrize("seed", range(4))
def test_the_ends_have_the_least_padding(seed):
    """Against every choice of at most three ends with at least five sequences each."""
    lengths = np.random.default_rng(seed).integers(1, 9, 40)
    found = longest(lengths, 3, 5)
    values = np.unique(lengths)
    allowed = []
    for count in (1, 2, 3):
        for inner in itertools.combinations(values[:-1], count - 1):
            ends = (*inner, values[-1])
            sizes = np.bincount(np.searchsorted(ends, lengths), minlength=count)
            allowed += [ends] if sizes.min() >= 5 else []
    fewest = min(padded_steps(lengths, ends) for ends in allowed)
    assert padded_steps(lengths, found) == fewest
    assert found[-1] == lengths.max() and len(found) <= 3


def test_sequences_of_one_length_are_one_bucket():
    assert longest(np.full(20, 7), 4, 5) == (7,)
    assert longest(np.array([3, 9]), 4, 2) == (9,)  # too few for two


def test_a_batch_has_one_bucket_and_an_epoch_every_whole_batch():
    lengths = np.random.default_rng(0).integers(1, 30, 100)
    buckets = Buckets(lengths, 4, 8)
    arrays = {"x": np.arange(100)[:, None, None] * np.ones((1, 30, 1)), "lengths": lengths}
    source = DeviceSource(arrays, 8, 0, Decoder("real", False), buckets)
    inputs, draw = source.inputs(0, 1), jax.jit(source.batch)
    key, epochs = jax.random.key(0), []
    for step in range(2 * buckets.batches_per_epoch):
        batch = draw(inputs, 0, jnp.int32(step), jnp.arange(8), key)
        rows = np.asarray(batch["x"][:, 0, 0], int)
        np.testing.assert_array_equal(batch["lengths"], lengths[rows])
        assert len(set(np.searchsorted(source.longest, lengths[rows]))) == 1
        epochs.append(rows)
    first, second = np.split(np.concatenate(epochs), 2)
    for epoch in (first, second):
        assert len(set(epoch)) == len(epoch) > 100 - 4 * 8
    assert list(first) != list(second)
    assert len(set(first) | set(second)) > len(set(first))  # what was left over comes later


def test_positions_of_a_batch_may_be_drawn_apart():
    buckets = Buckets(np.random.default_rng(1).integers(1, 9, 50), 3, 8)
    key, step = jax.random.key(3), jnp.int32(2)
    whole = buckets.rows(key, step, jnp.arange(8))
    halves = [buckets.rows(key, step, part) for part in (jnp.arange(4), jnp.arange(4, 8))]
    np.testing.assert_array_equal(whole, np.concatenate(halves))
