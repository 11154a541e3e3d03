"""MNIST in the static binarisation of Salakhutdinov and Murray, as Larochelle distributes it.

Read from manual_dir (`binarized_mnist.npz` with arrays train, valid and test, or the three `.amat`
files) or downloaded. However it came, the content must be the official one: the sha256 below are
of the official files, and are compared with the rows written out as those files are.
"""

import hashlib
from pathlib import Path

import numpy as np

from rlvm.data import download, npz, source

PIXELS = 784
ROWS = {"train": 50000, "valid": 10000, "test": 10000}
SHA256 = {
    "train": "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
    "valid": "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
    "test": "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
}
URL = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
NPZ_FILE = "binarized_mnist.npz"


def read(variant: str, files: source.Files) -> source.Splits:
    """The official splits, from the first place that has them."""
    path = files.manual(NPZ_FILE)
    splits = npz.splits(path, PIXELS) if path else {}
    for split in ROWS:
        if path is None:
            amat = _find_amat(split, files)
            splits[split] = {"x": read_amat(amat)}
        _check(path or amat, split, splits[split]["x"])
    return splits


def _find_amat(split: str, files: source.Files) -> Path:
    filename = f"binarized_mnist_{split}.amat"
    found = files.manual(filename)
    return found or download.fetch(files, URL + filename, SHA256[split], instead=NPZ_FILE)


def read_amat(path: Path) -> np.ndarray:
    """Rows of 784 digits 0 and 1 separated by blanks and line ends: uint8 [N, 784]."""
    text = np.frombuffer(path.read_bytes(), np.uint8)
    digits = text[(text != ord(" ")) & (text != ord("\n")) & (text != ord("\r"))] - ord("0")
    if digits.size == 0 or digits.max() > 1:
        raise ValueError(f"{path}: expected the digits 0 and 1, separated by blanks")
    if digits.size % PIXELS:
        raise ValueError(f"{path}: {digits.size} digits are not rows of {PIXELS} (cut short?)")
    return digits.reshape(-1, PIXELS)


def as_amat(x: np.ndarray) -> bytes:
    """The rows as the text of an official file: digits between blanks, one row a line."""
    text = np.full((*x.shape, 2), ord(" "), np.uint8)
    text[..., 0] = x + ord("0")
    text[:, -1, 1] = ord("\n")
    return text.tobytes()


def _check(path: Path, split: str, x: np.ndarray) -> None:
    npz.expect(path, split, x, (ROWS[split], PIXELS))
    if hashlib.sha256(as_amat(x)).hexdigest() != SHA256[split]:
        raise ValueError(f"{path}: '{split}' is not the official static binarisation of MNIST")


SOURCE = source.Source(
    version="1.0.0",
    description="MNIST, statically binarised (Salakhutdinov and Murray 2008; Larochelle's files).",
    variants={"": source.Variant("binary")},
    read=read,
)
