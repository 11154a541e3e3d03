import numpy as np
import pytest
from PIL import Image

from rlvm.data import dataset
from rlvm.data import textured_mnist as tm
from rlvm.data.source import Files

RNG = np.random.default_rng(0)


def ramp(side=80):
    """A texture whose value says where it was taken from: row + 1000 column."""
    row, column = np.mgrid[:side, :side]
    return (row + 1000 * column).astype(np.float32)


def files(folder):
    return Files("textured_mnist", folder, folder)


def test_a_patch_is_a_turned_and_scaled_square_about_its_centre():
    draws = np.array([0.125, 0.5, 0.5, 0.5])  # 45 degrees, scale sqrt(0.7 * 1.4), the middle
    got = tm.patch(ramp(), 9, draws)
    scale = np.sqrt(0.7 * 1.4)
    for i in range(9):
        for j in range(9):
            down, right = (i - 4) / scale, (j - 4) / scale
            row = 39.5 + (down - right) / np.sqrt(2)
            column = 39.5 + (down + right) / np.sqrt(2)
            np.testing.assert_allclose(got[i, j], row + 1000 * column, rtol=1e-5)


def test_patches_stay_within_the_textures_values():
    for _ in range(50):
        got = tm.patch(ramp(), 48, RNG.uniform(size=4))
        assert 0 <= got.min() and got.max() <= ramp().max()


def test_pairs_are_different_and_equally_likely():
    pairs = [tm.chosen(RNG.uniform(size=2), 3) for _ in range(6000)]
    counts = {pair: pairs.count(pair) for pair in set(pairs)}
    assert len(counts) == 6 and all(a != b for a, b in counts)
    assert min(counts.values()) > 880 and max(counts.values()) < 1120


def test_digits_grow_by_a_pixel():
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 10, 12] = 255
    grown = tm.thickened(image, 28)[0]
    assert grown.sum() == 9 and grown[9:12, 11:14].all()
    larger = tm.thickened(image, 84)[0]
    assert abs(larger.sum() / 9 - 9) < 1.5 and larger[31, 37]


def test_the_segments_say_which_texture_is_where():
    ink = 255 * (RNG.uniform(size=(5, 784)) < 0.03)
    part = {"x": ink.astype(np.uint8), "y": np.arange(5)}
    flat = [np.full((80, 80), value, np.float32) for value in (40, 90, 200)]
    arrays = tm.textured(part, flat, 48, seed=0)
    for x, inside in zip(arrays["x"], arrays["segments"], strict=True):
        assert len(np.unique(x[inside == 1])) == 1 and len(np.unique(x[inside == 0])) == 1
        assert x[inside == 1][0] != x[inside == 0][0]


def test_equal_values_stay_equal_and_the_rest_spreads_evenly():
    """By counting: a value's place is the share of pixels below it and half of those at it."""
    texture = RNG.integers(0, 7, (20, 30)) ** 3
    got = tm.equalized("t", texture)
    for value in np.unique(texture):
        share = np.mean(texture < value) + np.mean(texture == value) / 2
        np.testing.assert_allclose(got[texture == value], 255 * share, rtol=1e-5)


def test_textures_are_equalised_and_read_from_a_folder(tmp_path):
    (tmp_path / "textures").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(RNG.integers(0, 99, (70, 90)).astype(np.uint8)).save(
            tmp_path / "textures" / name
        )
    textures = tm.read_textures(files(tmp_path), 48)
    assert [t.shape for t in textures] == [(70, 90)] * 2
    for texture in textures:
        np.testing.assert_allclose(texture.mean(), 127.5, atol=1e-2)
        spread = np.histogram(texture, 5, (0, 255))[0] / texture.size
        np.testing.assert_allclose(spread, 0.2, atol=0.02)


def test_packaged_textures_are_the_default(tmp_path):
    pytest.importorskip("skimage")
    assert len(tm.read_textures(files(tmp_path), 84)) == 3


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.ones((60, 99)), "b": np.ones((99, 99))}, r"'a': a texture of shape \(60, 99\)"),
        ({"a": np.ones((99, 99, 3)), "b": np.ones((99, 99))}, "expected grey"),
        ({"a": RNG.uniform(size=(99, 99))}, "the only texture"),
        ({"a": np.ones((99, 99)), "b": np.ones((99, 99))}, "without contrast"),
    ],
)
def test_bad_textures_are_one_line(tmp_path, arrays, message):
    np.savez(tmp_path / "brodatz.npz", **arrays)
    with pytest.raises(ValueError, match=message) as error:
        tm.read_textures(files(tmp_path), 48)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "textures").mkdir()
    (tmp_path / "textures" / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"notes\.txt: cannot be read as an image"):
        tm.read_textures(files(tmp_path), 48)


def test_opens_by_name(tmp_path, monkeypatch):
    part = {
        "x": RNG.integers(0, 256, (6, 784)).astype(np.uint8),
        "y": RNG.integers(0, 10, 6).astype(np.int32),
    }
    monkeypatch.setattr(
        tm.mnist, "read", lambda variant, files: dict.fromkeys(("train", "valid", "test"), part)
    )
    np.savez(tmp_path / "brodatz.npz", a=RNG.uniform(size=(99, 99)), b=RNG.uniform(size=(99, 99)))
    data = dataset.load("textured_mnist/small", data_dir=tmp_path, manual_dir=tmp_path)
    train, valid = data.splits["train"], data.splits["valid"]
    assert data.kind == "grey" and train["segments"].shape == (6, 48, 48)
    assert (np.asarray(train["x"]) != np.asarray(valid["x"])).any()  # other draws in each split
