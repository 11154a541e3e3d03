"""Moved, cut and transposed examples: every one of those that may come does, and no other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from rlvm.inference import augmentation, predictor
from rlvm.jobs import config as configs

NUM = 400
KEYS = jax.random.split(jax.random.key(0), NUM)


def test_windows_are_runs_of_frames_within_the_sequence():
    keys = jax.random.split(jax.random.key(0), 200)
    x = jnp.tile(jnp.arange(9.0)[None, :, None], (200, 1, 1))
    lengths = jnp.where(jnp.arange(200) % 2 == 0, 9, 3)
    cut = augmentation.cropped({"x": x, "lengths": lengths}, 4, keys)
    starts = np.asarray(cut["x"][:, 0, 0])
    np.testing.assert_array_equal(cut["x"][:, :, 0], starts[:, None] + np.arange(4))
    assert set(starts[::2]) == set(range(6)) and set(starts[1::2]) == {0}
    np.testing.assert_array_equal(cut["lengths"], np.where(np.arange(200) % 2 == 0, 4, 3))


def test_transposition_moves_all_frames_of_a_piece_alike():
    keys = jax.random.split(jax.random.key(0), 300)
    x = jnp.zeros((300, 2, 9)).at[:, 0, 4].set(1.0).at[:, 1, 5].set(1.0)
    moved = np.asarray(augmentation.transposed(x, 2, keys))
    first, second = moved[:, 0].argmax(-1), moved[:, 1].argmax(-1)
    np.testing.assert_array_equal(second - first, 1)
    assert set(first) == {2, 3, 4, 5, 6} and (moved.sum(-1) == 1).all()
    edge = jnp.zeros((300, 1, 9)).at[:, :, 0].set(1.0)
    assert np.asarray(augmentation.transposed(edge, 2, keys)).sum((1, 2)).min() == 0  # moved out


def test_pieces_keep_their_keys_from_an_update_on():
    config = configs.load("ladder/polyphonic_small:jsb_chorales").objective
    config.transpose_until = 3
    keys = jax.random.split(jax.random.key(0), 50)
    x = jnp.zeros((50, 2, 88)).at[:, :, 40].set(1.0)
    batch = {"x": x, "lengths": jnp.full(50, 2)}
    steps = [predictor.augmented({**batch, "step": step}, config, keys)["x"] for step in (2, 3)]
    assert (steps[0] != x).any() and (steps[1] == x).all()


def dotted():
    """NUM images of 4 x 4 with one pixel on, at row 1 and column 2."""
    return jnp.zeros((NUM, 4, 4)).at[:, 1, 2].set(1.0).reshape(NUM, 16)


def test_images_move_by_every_step_alike_and_no_farther():
    moved = np.asarray(augmentation.moved_images(dotted(), 1, 1.0, KEYS)).reshape(NUM, 4, 4)
    count = moved.sum(0)
    assert count[:3, 1:].sum() == NUM and moved.sum() == NUM
    assert 15 < count[:3, 1:].min() and count.max() < 80  # 44 each are expected


def test_images_move_with_the_probability_and_zeros_move_in():
    x = dotted()
    stayed = (augmentation.moved_images(x, 1, 0.5, KEYS) == x).all(-1).mean()
    assert stayed == pytest.approx(0.5 + 0.5 / 9, abs=0.08)
    full = np.asarray(augmentation.moved_images(jnp.ones((NUM, 9)), 1, 1.0, KEYS))
    assert set(full.sum(-1)) == {4, 6, 9}


def test_an_objective_sees_moved_images_until_it_is_told_not_to():
    config = ConfigDict({"probability": 1.0, "pixels": 1, "until": 10})
    objective = augmentation.shifted(lambda params, extra, batch, rng: batch["x"], config)
    x = dotted()
    for step, still in ((9, False), (10, True)):
        seen = objective(None, None, {"x": x, "step": jnp.int32(step)}, KEYS)
        assert bool((seen == x).all()) == still


def test_what_is_no_square_image_is_refused():
    with pytest.raises(ValueError, match="moves square images; x has 15 pixels"):
        augmentation.moved_images(jnp.zeros((2, 15)), 1, 1.0, KEYS[:2])
