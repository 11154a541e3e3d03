import hashlib

import numpy as np
import pytest

from rlvm.data import binarized_mnist, dataset, download


def rows(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (count, 784)).astype(np.uint8)


@pytest.fixture
def small(monkeypatch):
    """The set with a few rows in place of the official ones."""
    splits = {"train": rows(5), "valid": rows(2, 1), "test": rows(3, 2)}
    text = {split: binarized_mnist.as_amat(x) for split, x in splits.items()}
    sha256 = {split: hashlib.sha256(t).hexdigest() for split, t in text.items()}
    monkeypatch.setattr(binarized_mnist, "ROWS", {split: len(x) for split, x in splits.items()})
    monkeypatch.setattr(binarized_mnist, "SHA256", sha256)
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    monkeypatch.setattr(binarized_mnist, "URL", "http://localhost:9/")
    return splits, text


def load(folder, manual_dir=None):
    return dataset.load("binarized_mnist", data_dir=folder / "data", manual_dir=manual_dir)


def complaint(folder):
    with pytest.raises(ValueError) as error:
        load(folder, folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def write_amat(folder, text):
    for split, content in text.items():
        (folder / f"binarized_mnist_{split}.amat").write_bytes(content)


def test_text_of_the_official_files():
    x = np.zeros((2, 784), np.uint8)
    x[0, 1] = x[1, 783] = 1
    lines = binarized_mnist.as_amat(x).decode().splitlines()
    assert lines[0] == " ".join(["0", "1"] + ["0"] * 782)
    assert lines[1] == " ".join(["0"] * 783 + ["1"])


def test_npz_and_amat_are_the_same_set(small, tmp_path):
    splits, text = small
    np.savez(tmp_path / "binarized_mnist.npz", **splits)
    from_npz = load(tmp_path, tmp_path)
    assert from_npz.name == "binarized_mnist" and from_npz.kind == "binary"
    for split, x in splits.items():
        np.testing.assert_array_equal(from_npz.splits[split]["x"], x)
    other = tmp_path / "other"
    other.mkdir()
    write_amat(other, {split: t.replace(b"\n", b"\r\n") for split, t in text.items()})
    assert load(other, other).sha256 == from_npz.sha256


def test_offline_without_files(small, tmp_path):
    message = complaint(tmp_path)
    assert message.startswith(
        f"binarized_mnist needs binarized_mnist_train.amat (or binarized_mnist.npz): not in "
        f"{tmp_path} (--manual_dir); downloading http://localhost:9/binarized_mnist_train.amat"
    )
    assert f"--dataset=binarized_mnist --data_dir={tmp_path}/data" in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "expected the digits 0 and 1"),
        (b"0 1 2 0\n", "expected the digits 0 and 1"),
        (b"0.0 1.0\n", "expected the digits 0 and 1"),
        (b"0 1 1\n", "3 digits are not rows of 784 (cut short?)"),
        (b"0 " * 784 * 5, "'train' is not the official static binarisation of MNIST"),
        (b"0 " * 784 * 4, "array 'train' has shape (4, 784), expected [5, 784]"),
    ],
)
def test_wrong_amat(small, tmp_path, content, says):
    write_amat(tmp_path, small[1] | {"train": content})
    message = complaint(tmp_path)
    assert says in message and "binarized_mnist_train.amat" in message


def test_wrong_npz(small, tmp_path):
    splits, _ = small
    np.savez(tmp_path / "binarized_mnist.npz", **splits | {"test": 1 - splits["test"]})
    assert "binarized_mnist.npz: 'test' is not the official static binari" in complaint(tmp_path)
    np.savez(tmp_path / "binarized_mnist.npz", **splits | {"test": splits["test"] * 255})
    assert "array 'test' holds 0 and 255" in complaint(tmp_path)


@pytest.mark.realdata
def test_the_real_files_are_the_official_ones(manual_dir, tmp_path):
    data = load(tmp_path, manual_dir)
    assert {s: p["x"].shape for s, p in data.splits.items()} == {
        "train": (50000, 784),
        "valid": (10000, 784),
        "test": (10000, 784),
    }
    for split, part in data.splits.items():
        text = binarized_mnist.as_amat(part["x"])
        assert hashlib.sha256(text).hexdigest() == binarized_mnist.SHA256[split]
