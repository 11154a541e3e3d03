"""Dropout belongs to the example: one mask a key, the same for all of its samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvm.models.darn import DARN
from rlvm.nn.masked import MLP, kept

WIDTH = 4000


def test_mask_keeps_its_share_and_has_mean_one():
    mask = np.asarray(kept(jax.random.split(jax.random.key(0), 3), 7, WIDTH, 0.25))
    assert set(np.unique(mask)) == {0.0, np.float32(1 / 0.75)}
    np.testing.assert_allclose(mask.mean(axis=1), 1.0, atol=4 * np.sqrt(0.25 / 0.75 / WIDTH))
    assert (mask[0] != mask[1]).any()


def test_masks_follow_the_key_not_the_place():
    keys = jax.random.split(jax.random.key(1), 3)
    mask = kept(keys, 7, 20, 0.5)
    np.testing.assert_array_equal(kept(keys[::-1], 7, 20, 0.5), mask[::-1])
    assert (kept(keys, 8, 20, 0.5) != mask).any()


def test_layer_with_dropout_is_the_layer_times_the_mask():
    features, keys = jnp.ones((2, 3, 5)), jax.random.split(jax.random.key(2), 3)
    layer = MLP((6,), dropout=0.5)
    variables = layer.init(jax.random.key(3), features)
    plain, dropped = layer.apply(variables, features), layer.apply(variables, features, keys)
    ratio = np.asarray(dropped / plain)
    assert set(np.unique(ratio)) == {0.0, 2.0}
    np.testing.assert_array_equal(ratio[0], ratio[1])  # samples of an example share its mask


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_only_a_training_batch_with_keys_is_masked(rate):
    model = DARN(6, (3,), ((4,),), dropout=rate)
    batch = {"x": jnp.ones((2, 6)), "mask": jnp.ones(2)}
    variables = model.init(jax.random.key(0), batch)
    keys = jax.random.split(jax.random.key(1), 2)
    plain = model.apply(variables, batch)
    noisy = model.apply(variables, {**batch, "dropout": keys})
    assert bool(jnp.all(plain == noisy)) == (rate == 0.0)
    np.testing.assert_array_equal(model.apply(variables, batch), plain)
