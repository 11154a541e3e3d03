"""Short sequences cut out of long recordings, and splits that keep a recording whole."""

import numpy as np

from rlvm.data import source

FRACTIONS = {"train": 0.6, "valid": 0.2, "test": 0.2}


def windows(recording: np.ndarray, size: int) -> np.ndarray:
    """Consecutive windows [N, size, ...] of a recording [T, ...]; a shorter rest is dropped."""
    count = len(recording) // size
    return recording[: count * size].reshape(count, size, *recording.shape[1:])


def from_origin(positions: np.ndarray) -> np.ndarray:
    """Windows [N, T, D] of positions, each relative to its first step."""
    return positions - positions[:, :1]


def split_groups(num_groups: int, seed: int) -> dict[str, np.ndarray]:
    """The groups of each split, drawn from a seed: 60, 20 and 20 percent, each group in one."""
    order = source.permutation(seed, num_groups)
    ends = np.round(np.cumsum([0.0, *FRACTIONS.values()]) * num_groups).astype(int)
    return {
        name: np.sort(order[start:end])
        for name, start, end in zip(FRACTIONS, ends[:-1], ends[1:], strict=True)
    }


def standardised(splits: dict[str, dict[str, np.ndarray]], name: str) -> source.Splits:
    """The splits with `name` in units of its mean and standard deviation over train."""
    values = splits["train"][name].reshape(-1, splits["train"][name].shape[-1]).astype(np.float64)
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return {
        split: {**arrays, name: ((arrays[name] - mean) / scale).astype(np.float32)}
        for split, arrays in splits.items()
    }
