"""Reading `.npz` files that people hand us: every way they can be wrong is one clear line."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def read(path: Path, names: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """All arrays of the file; `names` must be among them."""
    if not path.is_file():
        raise ValueError(f"No file {path}")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not a whole .npz file ({path.stat().st_size} bytes)")
    arrays = {name: _member(path, name) for name in _members(path)}
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ValueError(
            f"{path}: no array {', '.join(map(repr, missing))}. "
            f"Arrays: {', '.join(arrays) or 'none'}"
        )
    return arrays


def _members(path: Path) -> list[str]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return list(file)
    except Exception as error:
        raise ValueError(f"{path}: cannot be read as .npz (damaged?)") from error


def _member(path: Path, name: str) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as file:
            array = file[name]
    except Exception as error:
        if "allow_pickle" in str(error):
            reason = "holds pickled Python objects; save it as a plain array of numbers"
        else:
            reason = "cannot be read (damaged?)"
        raise ValueError(f"{path}: array '{name}' {reason}") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path}: '{name}' is not a NumPy array")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{path}: array '{name}' holds {array.dtype}, expected numbers")
    return array


def expect(path: Path, name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    """`array` if it has `shape` (None: 1 or more), else the error that says so."""
    fits = len(shape) == array.ndim and all(
        size > 0 and want in (None, size) for size, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("1 or more" if want is None else str(want) for want in shape)
        raise ValueError(f"{path}: array '{name}' has shape {array.shape}, expected [{wanted}]")
    return array


def binary(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """`array` as uint8 if all its values are 0 and 1, else the error that names what it holds."""
    if is_binary(array):
        return array.astype(np.uint8)
    raise not_binary(path, name, array)


def not_binary(path: Path, name: str, array: np.ndarray) -> ValueError:
    """The error that says what an array holds beside 0 and 1."""
    return ValueError(f"{path}: array '{name}' {_why_not_binary(array)}")


def is_binary(array: np.ndarray) -> bool:
    """Whether every value is 0 or 1."""
    return bool(np.all((array == 0) | (array == 1)))


def _why_not_binary(array: np.ndarray) -> str:
    if np.isnan(array).any():
        return f"holds {np.isnan(array).sum()} NaN, expected 0 and 1"
    wrong = array[(array != 0) & (array != 1)]
    if np.all(wrong == 255):
        return "holds 0 and 255, expected 0 and 1: save array // 255 in its place"
    return f"holds {wrong.flat[0]:g}, expected 0 and 1 (range {array.min():g} to {array.max():g})"


def splits(
    path: Path, width: int | None = None, names: tuple[str, ...] = ("train", "valid", "test")
) -> dict[str, dict[str, np.ndarray]]:
    """Binary splits {name: {'x': [N, width]}} of a file whose arrays carry the splits' names."""
    arrays = read(path, names)
    first = expect(path, names[0], arrays[names[0]], (None, width))
    width = first.shape[1]
    return {
        name: {"x": binary(path, name, expect(path, name, arrays[name], (None, width)))}
        for name in names
    }
