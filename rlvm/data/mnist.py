"""MNIST [N, 784] with labels, grey or binarised: train 50000, valid (the last 10000), test 10000.

- `mnist/grey`: values 0..255.
- `mnist/dynamic`: stored grey; every batch draws x ~ Bernoulli(grey / 255) afresh.
- `mnist/static`: drawn once, x = 1[u < grey / 255] with u the doubles of NumPy's PCG64(seed) (see
  `source.uniforms`), one per pixel, the 60000 training images first and then the 10000 test images.

Read from manual_dir (`mnist.npz` with arrays x_train, y_train, x_test and y_test, or the four
official idx files, gzipped or not) or downloaded.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np

from rlvm.data import download, npz, source

SIDE = 28
NUM_TRAIN, NUM_TEST, NUM_VALID = 60000, 10000, 10000
NPZ_FILE = "mnist.npz"
URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
IDX_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
SHA256 = {  # of the gzipped files
    "x_train": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "y_train": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "x_test": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "y_test": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


def read(variant: str, files: source.Files) -> source.Splits:
    """The splits of 'grey', 'dynamic' or 'static'."""
    original = _original(files)
    if variant == "static":
        bits = np.random.PCG64(files.seed)
        for name in ("x_train", "x_test"):
            original[name] = binarize(original[name], bits)
    cut = NUM_TRAIN - NUM_VALID
    return {
        "train": {"x": original["x_train"][:cut], "y": original["y_train"][:cut]},
        "valid": {"x": original["x_train"][cut:], "y": original["y_train"][cut:]},
        "test": {"x": original["x_test"], "y": original["y_test"]},
    }


def binarize(grey: np.ndarray, bits: np.random.PCG64) -> np.ndarray:
    """x = 1[u < grey / 255], one uniform of `bits` per pixel, row by row."""
    rows = [source.uniforms(bits, row.shape) < row / 255 for row in grey]
    return np.stack(rows).astype(np.uint8)


def _original(files: source.Files) -> dict[str, np.ndarray]:
    """The four arrays, images as [N, 784] and labels as int32."""
    paths, arrays = _read_all(files)
    for name, count in (("train", NUM_TRAIN), ("test", NUM_TEST)):
        for array, shape in ((f"x_{name}", (count, SIDE, SIDE)), (f"y_{name}", (count,))):
            _check(paths[array], array, arrays[array], shape)
        arrays[f"x_{name}"] = arrays[f"x_{name}"].reshape(count, SIDE * SIDE)
        arrays[f"y_{name}"] = arrays[f"y_{name}"].astype(np.int32)
    return arrays


def _read_all(files: source.Files) -> tuple[dict[str, Path], dict[str, np.ndarray]]:
    if path := files.manual(NPZ_FILE):
        return dict.fromkeys(IDX_FILES, path), npz.read(path, IDX_FILES)
    paths = {name: _find_idx(name, files) for name in IDX_FILES}
    return paths, {name: read_idx(path) for name, path in paths.items()}


def _find_idx(name: str, files: source.Files) -> Path:
    gzipped = f"{IDX_FILES[name]}.gz"
    found = files.manual(gzipped) or files.manual(IDX_FILES[name])
    return found or download.fetch(files, URL + gzipped, SHA256[name], instead=NPZ_FILE)


def _check(path: Path, name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    npz.expect(path, name, array, shape)
    if array.dtype != np.uint8:
        raise ValueError(f"{path}: array '{name}' is {array.dtype}, expected uint8")
    if name.startswith("y") and array.max() > 9:
        raise ValueError(f"{path}: array '{name}' holds {array.max()}, expected labels 0 to 9")


def read_idx(path: Path) -> np.ndarray:
    """A file of unsigned bytes in the idx format, gzipped or not.

    Bytes 0, 0, 8 (uint8), number of axes; each axis as a big-endian int32; the values.
    """
    data = _content(path)
    num_axes = data[3] if data[:3] == b"\0\0\x08" and len(data) > 3 else 0
    start = 4 + 4 * num_axes
    if not num_axes or len(data) < start:
        raise ValueError(f"{path}: not an idx file of unsigned bytes")
    shape = np.frombuffer(data, ">i4", num_axes, offset=4)
    if len(data) - start != (size := int(np.prod(shape, dtype=np.int64))):
        raise ValueError(f"{path}: {len(data) - start} values, expected {size} (cut short?)")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: cannot be unzipped (cut short or damaged?)") from error


SOURCE = source.Source(
    version="1.0.0",
    description="MNIST (LeCun and Cortes), grey or binarised.",
    variants={
        "grey": source.Variant("grey"),
        "dynamic": source.Variant("binary", binarize=True),
        "static": source.Variant("binary", seeded=True),
    },
    read=read,
)
