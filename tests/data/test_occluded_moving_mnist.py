import numpy as np
import pytest

from rlvm.data import dataset
from rlvm.data import occluded_moving_mnist as omm
from rlvm.data.source import Files

RNG = np.random.default_rng(0)


def digits(count=40):
    return {
        "x": RNG.integers(0, 256, (count, 784)).astype(np.uint8),
        "y": RNG.integers(0, 10, count).astype(np.int32),
    }


def test_a_digit_pixel_is_the_mean_of_four():
    images = digits(3)["x"].reshape(3, 28, 28)
    want = images.reshape(3, 14, 2, 14, 2).mean((2, 4))
    assert np.abs(omm.shrink(images) - want).max() <= 0.5


def test_paths_step_by_a_velocity_and_bounce():
    corners = omm.path(RNG.uniform(size=(2000, 4)), 30)
    assert corners.min() == 0 and corners.max() == omm.ROOM
    steps = np.abs(np.diff(corners, axis=1))
    inner = ((corners[:, :-1] > 2) & (corners[:, :-1] < omm.ROOM - 2)).all(-1)
    assert {tuple(s) for s in steps[inner]} == {(1, 2), (2, 1)}
    starts = np.bincount(corners[:, 0, 0], minlength=19)
    assert starts.min() > 60 and len(starts) == 19  # uniform over 19 places: 105 each


def test_a_path_by_hand():
    draws = np.array([[17.5 / 19, 0.5 / 19, 0.5 / 8, 0]])  # corner (17, 0), velocity (1, 2)
    want = [(17, 0), (18, 2), (17, 4), (16, 6)]
    np.testing.assert_array_equal(omm.path(draws, 4)[0], want)


def test_frames_show_the_digit_where_no_bar_is():
    part = digits()
    frames = omm.moving(part, "", 5, seed=1)["x"]
    clean = omm.moving(part, "clean", 5, seed=1)["x"]
    corners = omm.path(omm.source.uniforms(np.random.PCG64(1), (40, 2, 4))[:, 0], 5)
    ink = omm.shrink(part["x"].reshape(-1, 28, 28))
    for n in range(40):
        for t in range(5):
            want = np.full((32, 32), 255)
            r, c = corners[n, t]
            want[r : r + 14, c : c + 14] -= ink[n]
            np.testing.assert_array_equal(clean[n, t], want)
            for i in range(32):
                for j in (0, 7, 8, 11, 12, 20, 24, 31):
                    hidden = i % 12 >= 8 or j % 12 >= 8
                    assert frames[n, t, i, j] == (0 if hidden else want[i, j])


def test_two_digits_overlap_and_lose_their_single_label():
    part = digits()
    arrays = omm.moving(part, "two", 5, seed=2)
    assert "y" not in arrays and arrays["labels"].shape == (40, 2)
    one = omm.moving(part, "", 5, seed=2)["x"]
    assert (arrays["x"] <= one).all() and (arrays["x"] < one).any((1, 2, 3)).mean() > 0.9


def test_reconstruction_is_the_union_of_what_was_seen():
    part = digits(60)
    ink = omm.shrink(part["x"].reshape(-1, 28, 28))
    corners = omm.path(omm.source.uniforms(np.random.PCG64(3), (60, 2, 4))[:, 0], 5)
    frames = omm.moving(part, "reconstruction", 5, seed=3)["x"]
    hidden = 0  # of the pixels; in one frame 5 of 9 are
    for n in range(60):
        seen = np.zeros((14, 14), bool)
        for r, c in corners[n]:
            for i in range(14):
                for j in range(14):
                    seen[i, j] |= (r + i) % 12 < 8 and (c + j) % 12 < 8
        r, c = corners[n, -1]
        got = frames[n, r : r + 14, c : c + 14]
        np.testing.assert_array_equal(got, np.where(seen, 255 - ink[n], 0))
        outside = frames[n].copy()
        outside[r : r + 14, c : c + 14] = 255
        assert (outside == 255).all()
        hidden += (~seen).sum()
    assert 0 < hidden < 0.2 * 60 * 196


def test_a_thousand_labels_are_a_hundred_of_each_class():
    part = {"x": np.zeros((3000, 1)), "y": RNG.integers(0, 10, 3000).astype(np.int32)}
    labelled = omm.first_of_each_class(part["y"])
    np.testing.assert_array_equal(np.bincount(part["y"][labelled]), [100] * 10)
    hidden = omm.few_labels(part, labelled, only=False)["y"]
    np.testing.assert_array_equal(hidden[labelled], part["y"][labelled])
    assert (hidden[~labelled] == -1).all()
    assert len(omm.few_labels(part, labelled, only=True)["x"]) == 1000


def test_needs_mnist(tmp_path, monkeypatch):
    monkeypatch.setattr(
        omm.mnist, "read", lambda variant, files: {s: digits(4) for s in ("train", "valid", "test")}
    )
    data = dataset.load("occluded_moving_mnist/reconstruction_5", data_dir=tmp_path)
    assert data.kind == "grey" and data.splits["train"]["x"].shape == (4, 32, 32)
    with pytest.raises(ValueError, match="Of this set there are: occluded_moving_mnist/5"):
        dataset.load("occluded_moving_mnist/7", data_dir=tmp_path)


@pytest.mark.realdata
@pytest.mark.slow
def test_real_digits(manual_dir, tmp_path):
    splits = omm.read("5", Files("occluded_moving_mnist", tmp_path, manual_dir))
    assert splits["train"]["x"].shape == (50000, 5, 32, 32)
    again = omm.read("5", Files("occluded_moving_mnist", tmp_path, manual_dir))
    np.testing.assert_array_equal(again["test"]["x"], splits["test"]["x"])
