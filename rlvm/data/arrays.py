"""A user's own `.npz` as a data set: arrays `train`, optionally `valid` and `test`.

- [N, D]: vectors of 0 and 1.
- [N, T, D], or [total, D] with `<split>_lengths` (the frames of all sequences, one after another):
  sequences of 0 and 1 or of floats, padded with zeros to the split's longest. [N, T, D] may have
  `<split>_lengths` too; without them every sequence has length T.
- `<split>_controls`: controls, with the leading axes of the split.
"""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rlvm.data import npz, source

LOG = logging.getLogger(__name__)

SPLITS = ("train", "valid", "test")
VALID_FRACTION = 0.1


@dataclasses.dataclass(frozen=True)
class _File:
    """The arrays of one file, consumed split by split."""

    path: Path
    arrays: dict[str, np.ndarray]
    allow_missing: bool

    def error(self, name: str, complaint: str) -> ValueError:
        return ValueError(f"{self.path}: array '{name}' {complaint}")

    def values(self, name: str) -> np.ndarray:
        """The array, checked for what no model can take."""
        array = self.arrays[name]
        if array.size == 0:
            raise self.error(name, f"is empty: shape {array.shape}")
        if np.isinf(array).any():
            raise self.error(name, "holds infinite values")
        num_missing = int(np.isnan(array).sum())
        if num_missing and not self.allow_missing:
            raise self.error(name, f"holds {num_missing} NaN, which this model cannot take")
        return array


def read(path: Path, seed: int, allow_missing: bool = False) -> tuple[str, source.Splits]:
    """The kind ('binary' or 'real') and the splits of the file at `path`."""
    file = _File(path, npz.read(path, names=["train"]), allow_missing)
    names = [name for name in SPLITS if name in file.arrays]
    splits = {name: _split(file, name) for name in names}
    _agree(file, splits)
    kind = _kind(file, splits)
    for arrays in splits.values():
        arrays["x"] = _stored(arrays["x"], kind)
    _log_unused(file, names)
    return kind, splits if "valid" in splits else _hold_out(file, splits, seed)


def _split(file: _File, name: str) -> dict[str, np.ndarray]:
    """One split, its sequences padded, its values as they came."""
    x = file.values(name)
    lengths = _lengths(file, name, x)
    if x.ndim not in (2, 3):
        raise file.error(name, f"has shape {x.shape}, expected [N, D], [N, T, D] or [total, D]")
    arrays = {"x": x}
    controls = f"{name}_controls"
    if controls in file.arrays:
        arrays["u"] = _controls(file, controls, x)
    if lengths is None:
        return arrays
    if x.ndim == 2:
        arrays = {key: pad(frames, lengths) for key, frames in arrays.items()}
    return arrays | {"lengths": lengths}


def _lengths(file: _File, name: str, x: np.ndarray) -> np.ndarray | None:
    """The lengths of a split's sequences [N] int32, None for vectors."""
    key = f"{name}_lengths"
    if key not in file.arrays:
        return np.full(len(x), x.shape[1], np.int32) if x.ndim == 3 else None
    lengths = file.arrays[key]
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or not lengths.size:
        raise file.error(key, f"is {lengths.dtype} {lengths.shape}, expected integers [N]")
    if lengths.min() < 1:
        raise file.error(key, f"holds {lengths.min()}, expected lengths of at least 1")
    if x.ndim == 2 and lengths.sum() != len(x):
        raise file.error(key, f"sums to {lengths.sum()}, but '{name}' has {len(x)} frames")
    if x.ndim == 3 and (len(lengths) != len(x) or lengths.max() > x.shape[1]):
        got = f"{len(lengths)} lengths up to {lengths.max()}"
        raise file.error(key, f"has {got}, but '{name}' has shape {x.shape}")
    return lengths.astype(np.int32)


def _controls(file: _File, name: str, x: np.ndarray) -> np.ndarray:
    u = file.values(name)
    if np.isnan(u).any():
        raise file.error(name, "holds NaN: controls cannot be missing")
    if u.ndim != x.ndim or u.shape[:-1] != x.shape[:-1]:
        raise file.error(name, f"has shape {u.shape}, expected leading axes {x.shape[:-1]}")
    return u.astype(np.float32)


def pad(frames: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Frames [total, D] of sequences one after another as [N, T, D], zeros after each end."""
    steps = np.arange(lengths.max())
    padded = np.zeros((len(lengths), len(steps), frames.shape[-1]), frames.dtype)
    padded[steps < lengths[:, None]] = frames  # both sides run over sequences, then frames
    return padded


def _agree(file: _File, splits: source.Splits) -> None:
    """All splits must hold the same arrays, of the same width."""
    train = splits["train"]
    for name, arrays in splits.items():
        if arrays.keys() != train.keys() or arrays["x"].ndim != train["x"].ndim:
            raise file.error(
                name, f"is laid out unlike 'train': {_shapes(arrays)}, {_shapes(train)}"
            )
        for key in ("x", "u"):
            if key in train and arrays[key].shape[-1] != train[key].shape[-1]:
                got, want = arrays[key].shape[-1], train[key].shape[-1]
                array = name if key == "x" else f"{name}_controls"
                raise file.error(array, f"has width {got}, but that of 'train' has {want}")


def _shapes(arrays: Mapping[str, np.ndarray]) -> str:
    return " ".join(f"{name}{list(array.shape)}" for name, array in arrays.items())


def _kind(file: _File, splits: source.Splits) -> str:
    """'binary' where every value is 0, 1 or missing; 'real' for other sequences of floats."""
    others = [name for name, arrays in splits.items() if not _is_binary(arrays["x"])]
    if not others:
        return "binary"
    if all(splits[name]["x"].ndim == 3 and splits[name]["x"].dtype.kind == "f" for name in others):
        return "real"
    raise npz.not_binary(file.path, others[0], file.arrays[others[0]])


def _is_binary(x: np.ndarray) -> bool:
    return npz.is_binary(x) or (x.ndim == 3 and npz.is_binary(x[~np.isnan(x)]))


def _stored(x: np.ndarray, kind: str) -> np.ndarray:
    """uint8 for whole binary values, float32 where values are real or missing."""
    return x.astype(np.uint8 if kind == "binary" and npz.is_binary(x) else np.float32)


def _hold_out(file: _File, splits: source.Splits, seed: int) -> source.Splits:
    """A seeded tenth of train as valid; both keep the file's order."""
    train = splits["train"]
    size = len(train["x"])
    if size < 2:
        raise file.error("train", "has 1 example: no 'valid' can be held out of it")
    num_valid = max(1, round(VALID_FRACTION * size))
    held = np.zeros(size, bool)
    held[source.permutation(seed, size)[:num_valid]] = True
    LOG.info("%s has no 'valid': %d of %d examples held out", file.path, num_valid, size)
    parts = {
        name: {k: v[keep] for k, v in train.items()}
        for name, keep in (("train", ~held), ("valid", held))
    }
    return parts | {name: splits[name] for name in splits if name != "train"}


def _log_unused(file: _File, names: list[str]) -> None:
    known = {name + suffix for name in names for suffix in ("", "_lengths", "_controls")}
    if unused := sorted(set(file.arrays) - known):
        LOG.warning("%s: arrays not used: %s", file.path, ", ".join(unused))
