"""The stateless shuffle is a permutation, its key decides which, and none is favoured."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rlvm.data.shuffle import permute


def whole(key, size):
    return np.asarray(permute(key, jnp.arange(size), size))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 15, 16, 17, 100, 255, 257, 1000, 50_000])
def test_is_a_bijection(size):
    assert np.array_equal(np.sort(whole(jax.random.key(size), size)), np.arange(size))


def test_any_part_agrees_with_the_whole():
    key = jax.random.key(3)
    part = permute(key, jnp.asarray([[7, 99], [0, 42]]), 100)
    np.testing.assert_array_equal(part, whole(key, 100)[[[7, 99], [0, 42]]])


def test_keys_give_different_orders():
    keys = jax.random.split(jax.random.key(0), 50)
    orders = jax.jit(jax.vmap(lambda key: permute(key, jnp.arange(20), 20)))(keys)
    assert len(np.unique(orders, axis=0)) == 50


def test_all_orders_of_three_are_about_equally_frequent():
    keys = jax.random.split(jax.random.key(0), 6000)
    orders = np.asarray(jax.jit(jax.vmap(lambda key: permute(key, jnp.arange(3), 3)))(keys))
    counts = [int((orders == order).all(1).sum()) for order in itertools.permutations(range(3))]
    assert sum(counts) == 6000 and stats.chisquare(counts).pvalue > 1e-3


def test_every_place_is_about_equally_likely_and_neighbours_part():
    keys = jax.random.split(jax.random.key(1), 5000)
    draw = jax.jit(jax.vmap(lambda key: permute(key, jnp.asarray([0, 1, 63]), 64)))
    places = np.asarray(draw(keys))
    for column in places.T:
        assert stats.chisquare(np.bincount(column, minlength=64)).pvalue > 1e-3
    gaps = (places[:, 1] - places[:, 0]) % 64
    assert stats.chisquare(np.bincount(gaps, minlength=64)[1:]).pvalue > 1e-3
