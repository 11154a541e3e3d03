import gzip
import struct

import numpy as np
import pytest

from rlvm.data import dataset, download, mnist


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28)).astype(np.uint8)


def labels(count):
    return (np.arange(count) % 10).astype(np.uint8)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
    return header + array.tobytes()


@pytest.fixture
def small(monkeypatch):
    """The set with a few rows in place of the official ones."""
    for name, count in (("NUM_TRAIN", 12), ("NUM_VALID", 3), ("NUM_TEST", 4)):
        monkeypatch.setattr(mnist, name, count)
    monkeypatch.setattr(mnist, "URL", "http://localhost:9/")
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    return {"x_train": images(12), "y_train": labels(12), "x_test": images(4), "y_test": labels(4)}


def load(folder, variant="grey", **kwargs):
    return dataset.load(f"mnist/{variant}", data_dir=folder / "data", manual_dir=folder, **kwargs)


def complaint(folder):
    with pytest.raises(ValueError) as error:
        load(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_grey_and_dynamic(small, tmp_path):
    np.savez(tmp_path / "mnist.npz", **small)
    grey, dynamic = load(tmp_path, "grey"), load(tmp_path, "dynamic")
    assert (grey.kind, grey.binarize) == ("grey", False)
    assert (dynamic.kind, dynamic.binarize) == ("binary", True)
    assert dynamic.sha256 == grey.sha256
    flat = small["x_train"].reshape(12, 784)
    np.testing.assert_array_equal(grey.splits["train"]["x"], flat[:9])
    np.testing.assert_array_equal(grey.splits["valid"]["x"], flat[9:])
    np.testing.assert_array_equal(grey.splits["valid"]["y"], small["y_train"][9:])
    np.testing.assert_array_equal(grey.splits["test"]["x"], small["x_test"].reshape(4, 784))
    assert grey.splits["test"]["x"].dtype == np.uint8
    assert grey.splits["test"]["y"].dtype == np.int32


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_idx_files_are_the_same_set(small, tmp_path, suffix):
    np.savez(tmp_path / "mnist.npz", **small)
    from_npz = load(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    for name, filename in mnist.IDX_FILES.items():
        content = idx(small[name])
        (other / f"{filename}{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    assert load(other).sha256 == from_npz.sha256


def test_static_is_drawn_once_per_pixel_from_the_seed(small, tmp_path):
    np.savez(tmp_path / "mnist.npz", **small)
    data = load(tmp_path, "static", seed=3)
    assert (data.name, data.kind, data.binarize) == ("mnist/static_seed3", "binary", False)
    generator = np.random.Generator(np.random.PCG64(3))  # one stream: train images, then test
    grey = np.concatenate([small["x_train"], small["x_test"]]).reshape(16, 784)
    expected = generator.random((16, 784)) < grey / 255
    drawn = np.concatenate([data.splits[s]["x"] for s in ("train", "valid", "test")])
    np.testing.assert_array_equal(drawn, expected)
    assert load(tmp_path, "static", seed=0).sha256 != data.sha256


def test_binarize_has_the_right_frequencies_and_ends():
    grey = np.repeat(np.array([[0, 51, 204, 255]], np.uint8), 20000, axis=0)
    drawn = mnist.binarize(grey, np.random.PCG64(0))
    np.testing.assert_allclose(drawn.mean(0), [0, 0.2, 0.8, 1], atol=0.015)
    assert drawn[:, 0].max() == 0 and drawn[:, 3].min() == 1


def test_offline_without_files(small, tmp_path):
    message = complaint(tmp_path)
    assert message.startswith("mnist/grey needs train-images-idx3-ubyte.gz (or mnist.npz): not in")
    assert "downloading http://localhost:9/train-images-idx3-ubyte.gz failed:" in message


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"x_train": np.zeros((11, 28, 28), np.uint8)}, "'x_train' has shape (11, 28, 28), expec"),
        ({"x_test": np.zeros((4, 784), np.uint8)}, "'x_test' has shape (4, 784), expected [4, 28"),
        ({"x_test": np.zeros((4, 28, 28))}, "array 'x_test' is float64, expected uint8"),
        ({"y_test": np.full(4, 10, np.uint8)}, "array 'y_test' holds 10, expected labels 0 to 9"),
    ],
)
def test_wrong_npz(small, tmp_path, changed, says):
    np.savez(tmp_path / "mnist.npz", **small | changed)
    message = complaint(tmp_path)
    assert says in message and "mnist.npz" in message


def test_missing_label_array(small, tmp_path):
    np.savez(tmp_path / "mnist.npz", **{k: v for k, v in small.items() if k != "y_test"})
    assert "mnist.npz: no array 'y_test'. Arrays: x_train, y_train, x_test" in complaint(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not an idx file of unsigned bytes"),
        (b"\0\0\x08", "not an idx file of unsigned bytes"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "not an idx file of unsigned bytes"),
        (b"\0\0\x08\x03\0\0\0\x01", "not an idx file of unsigned bytes"),
        (idx(images(2))[:-1], "1567 values, expected 1568 (cut short?)"),
        (gzip.compress(idx(images(2)), mtime=0)[:-9], "cannot be unzipped (cut short or damaged?)"),
        (gzip.compress(idx(images(2)), mtime=0)[:50] + b"\0" * 50, "cannot be unzipped"),
    ],
    ids=lambda value: value[:24].strip("(") if isinstance(value, str) else "bytes",
)
def test_wrong_idx(tmp_path, content, says):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        mnist.read_idx(path)
    assert str(error.value).startswith(f"{path}: {says}")


@pytest.mark.realdata
def test_real_mnist(manual_dir, tmp_path):
    data = dataset.load("mnist/grey", data_dir=tmp_path, manual_dir=manual_dir)
    assert {s: p["x"].shape for s, p in data.splits.items()} == {
        "train": (50000, 784),
        "valid": (10000, 784),
        "test": (10000, 784),
    }
    x = np.concatenate([data.splits[s]["x"] for s in ("train", "valid")])
    np.testing.assert_allclose(x.mean() / 255, 0.1307, atol=1e-4)  # as published
    np.testing.assert_array_equal(data.splits["train"]["y"][:5], [5, 0, 4, 1, 9])
    np.testing.assert_array_equal(data.splits["test"]["y"][:5], [7, 2, 1, 0, 4])
