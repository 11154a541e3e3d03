import numpy as np
import pytest

from rlvm.data import arrays, dataset


def save(folder, name="my.npz", **content):
    path = folder / name
    np.savez(path, **content)
    return path


def load(folder, path, **kwargs):
    return dataset.load("arrays", data_dir=folder / "data", path=path, **kwargs)


def complaint(folder, path=None, allow_missing=False, **content):
    with pytest.raises(ValueError) as error:
        load(folder, path or save(folder, **content), allow_missing=allow_missing)
    message = str(error.value)
    assert "\n" not in message
    assert not list(folder.glob("data/*")), "a refused file leaves nothing behind"
    return message


def rows(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 2, shape)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_vectors(tmp_path, dtype):
    train, valid, test = (rows(n, 3).astype(dtype) for n in (7, 2, 4))
    data = load(tmp_path, save(tmp_path, train=train, valid=valid, test=test))
    assert data.name == "arrays/my" and data.kind == "binary" and not data.binarize
    for name, array in (("train", train), ("valid", valid), ("test", test)):
        assert data.splits[name].keys() == {"x"}
        assert data.splits[name]["x"].dtype == np.uint8
        np.testing.assert_array_equal(data.splits[name]["x"], array)


def test_ragged_and_padded_sequences_are_the_same(tmp_path):
    lengths = {"train": np.array([2, 4, 1]), "valid": np.array([3])}
    frames = {name: rows(n.sum(), 2, seed=len(n)) for name, n in lengths.items()}
    controls = {
        name: np.random.default_rng(0).normal(size=(n.sum(), 1)) for name, n in lengths.items()
    }
    ragged = {
        **frames,
        **{f"{name}_lengths": n for name, n in lengths.items()},
        **{f"{name}_controls": u for name, u in controls.items()},
    }
    data = load(tmp_path, save(tmp_path, **ragged))
    train = data.splits["train"]
    assert train["x"].shape == (3, 4, 2) and data.splits["valid"]["x"].shape == (1, 3, 2)
    assert train["lengths"].dtype == np.int32 and train["u"].dtype == np.float32
    start = 0
    for i, length in enumerate(lengths["train"]):
        np.testing.assert_array_equal(
            train["x"][i, :length], frames["train"][start : start + length]
        )
        np.testing.assert_allclose(
            train["u"][i, :length], controls["train"][start : start + length], rtol=1e-6
        )
        assert not train["x"][i, length:].any() and not train["u"][i, length:].any()
        start += length
    padded = {name: part["x"] for name, part in data.splits.items()}
    padded |= {f"{name}_lengths": part["lengths"] for name, part in data.splits.items()}
    padded |= {f"{name}_controls": part["u"] for name, part in data.splits.items()}
    assert load(tmp_path, save(tmp_path, "padded.npz", **padded)).sha256 == data.sha256


def test_sequences_without_lengths_are_full(tmp_path):
    data = load(tmp_path, save(tmp_path, train=rows(5, 3, 2), valid=rows(2, 4, 2)))
    np.testing.assert_array_equal(data.splits["train"]["lengths"], [3] * 5)
    np.testing.assert_array_equal(data.splits["valid"]["lengths"], [4] * 2)


def test_float_sequences_are_real(tmp_path):
    x = np.random.default_rng(0).normal(size=(4, 3, 2))
    data = load(tmp_path, save(tmp_path, train=x, valid=np.zeros((1, 2, 2), int)))
    assert data.kind == "real"
    assert data.splits["valid"]["x"].dtype == np.float32  # although it holds zeros only
    np.testing.assert_allclose(data.splits["train"]["x"], x, rtol=1e-6)


def test_missing_values_only_where_allowed(tmp_path):
    x = rows(4, 3, 2).astype(float)
    x[1, 2, 0] = np.nan
    path = save(tmp_path, train=x, valid=rows(2, 3, 2))
    assert "array 'train' holds 1 NaN" in complaint(tmp_path, path)
    data = load(tmp_path, path, allow_missing=True)
    assert data.kind == "binary"
    assert data.splits["train"]["x"].dtype == np.float32
    np.testing.assert_array_equal(data.splits["train"]["x"], x)


def test_missing_values_in_vectors_are_refused(tmp_path):
    x = np.where(np.eye(3), np.nan, 1)
    assert "array 'train' holds 3 NaN" in complaint(tmp_path, train=x, allow_missing=True)


def test_without_valid_a_seeded_tenth_of_train_is_held_out(tmp_path, caplog):
    train = np.arange(64)[:, None] >> np.arange(6) & 1  # all rows differ
    path = save(tmp_path, train=train)
    with caplog.at_level("INFO", logger="rlvm"):
        data = load(tmp_path, path)
    assert "has no 'valid': 6 of 64 examples held out" in caplog.text
    assert data.splits.keys() == {"train", "valid"}
    parts = [part["x"] for part in data.splits.values()]
    assert [len(part) for part in parts] == [58, 6]
    numbers = [part @ (1 << np.arange(6)) for part in parts]
    assert sorted(np.concatenate(numbers)) == list(range(64))
    assert all((np.diff(n) > 0).all() for n in numbers), "both keep the file's order"
    other = load(tmp_path, path, seed=1)
    assert other.sha256 != data.sha256
    assert load(tmp_path, path).sha256 == data.sha256


def test_content_is_the_key(tmp_path):
    path = save(tmp_path, train=np.zeros((5, 2)), valid=np.ones((2, 2)))
    first = load(tmp_path, path)
    assert load(tmp_path, path).sha256 == first.sha256
    assert len(list((tmp_path / "data/arrays").iterdir())) == 1
    save(tmp_path, train=np.ones((5, 2)), valid=np.ones((2, 2)))
    second = load(tmp_path, path)
    assert second.sha256["train"] != first.sha256["train"]
    assert second.sha256["valid"] == first.sha256["valid"]
    assert len(list((tmp_path / "data/arrays").iterdir())) == 2


def test_arrays_not_used_are_named(tmp_path, caplog):
    load(tmp_path, save(tmp_path, train=rows(9, 2), valdi=rows(2, 2)))
    assert "arrays not used: valdi" in caplog.text


EYE = np.eye(4, 3)
SEQUENCE = np.zeros((5, 2))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"x_train": EYE}, "no array 'train'. Arrays: x_train"),
        ({}, "no array 'train'. Arrays: none"),
        (
            {"train": EYE * 255},
            "array 'train' holds 0 and 255, expected 0 and 1: save array // 255",
        ),
        ({"train": EYE * 2}, "array 'train' holds 2, expected 0 and 1"),
        ({"train": EYE / 2}, "array 'train' holds 0.5, expected 0 and 1"),
        ({"train": EYE, "test": EYE / 2}, "array 'test' holds 0.5, expected 0 and 1"),
        ({"train": np.full((4, 3, 2), 7)}, "array 'train' holds 7, expected 0 and 1"),
        ({"train": np.where(EYE, np.inf, 0)}, "array 'train' holds infinite values"),
        ({"train": np.where(EYE, np.nan, 0)}, "array 'train' holds 3 NaN"),
        ({"train": np.zeros((0, 3))}, "array 'train' is empty: shape (0, 3)"),
        ({"train": np.zeros(3)}, "array 'train' has shape (3,), expected [N, D], [N, T, D] or"),
        ({"train": np.zeros(())}, "array 'train' has shape (), expected [N, D], [N, T, D] or"),
        ({"train": EYE[:1]}, "array 'train' has 1 example: no 'valid' can be held out of it"),
        (
            {"train": EYE, "valid": EYE[:, :2]},
            "array 'valid' has width 2, but that of 'train' has 3",
        ),
        ({"train": EYE, "valid": EYE[None]}, "array 'valid' is laid out unlike 'train'"),
        ({"train": np.array([None, {}])}, "array 'train' holds pickled Python objects"),
        ({"train": np.array(["a"])}, "array 'train' holds <U1, expected numbers"),
        (
            {"train": SEQUENCE, "train_lengths": [2, 2]},
            "array 'train_lengths' sums to 4, but 'train' has 5 frames",
        ),
        (
            {"train": SEQUENCE, "train_lengths": [5, 0]},
            "array 'train_lengths' holds 0, expected lengths of at least 1",
        ),
        (
            {"train": SEQUENCE, "train_lengths": [2.0, 3.0]},
            "array 'train_lengths' is float64 (2,), expected integers [N]",
        ),
        (
            {"train": np.zeros((2, 3, 1)), "train_lengths": [2, 4]},
            "array 'train_lengths' has 2 lengths up to 4, but 'train' has shape (2, 3, 1)",
        ),
        (
            {"train": np.zeros((2, 3, 1)), "train_controls": np.zeros((2, 4, 1))},
            "array 'train_controls' has shape (2, 4, 1), expected leading axes (2, 3)",
        ),
        (
            {"train": np.zeros((2, 1)), "train_controls": np.full((2, 1), np.nan)},
            "array 'train_controls' holds 2 NaN",
        ),
    ],
)
def test_refused(tmp_path, content, says):
    message = complaint(tmp_path, **content)
    assert says in message and str(tmp_path / "my.npz") in message


def test_missing_controls_are_refused_even_where_values_may_miss(tmp_path):
    content = {"train": np.zeros((2, 2, 1)), "train_controls": np.full((2, 2, 1), np.nan)}
    message = complaint(tmp_path, allow_missing=True, **content)
    assert "array 'train_controls' holds NaN: controls cannot be missing" in message


def test_no_file(tmp_path):
    assert "No file" in complaint(tmp_path, tmp_path / "none.npz")
    with pytest.raises(ValueError, match=r"data\.path is empty"):
        load(tmp_path, "")
    text = tmp_path / "text.npz"
    text.write_text("hello")
    assert "text.npz: not a whole .npz file (5 bytes)" in complaint(tmp_path, text)


def test_pad_by_hand():
    frames = np.arange(1, 7)[:, None]
    padded = arrays.pad(frames, np.array([1, 3, 2]))
    np.testing.assert_array_equal(padded[..., 0], [[1, 0, 0], [2, 3, 4], [5, 6, 0]])
