"""Compare two models on the same test examples, from the files of `launch/evaluate.py`."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlvm.inference.bootstrap import paired_bootstrap


def compare(
    left: Sequence[str], right: Sequence[str], title: str = "", num_resamples: int = 10_000
) -> dict[str, Any]:
    """NLL of `left` minus that of `right`, in nats: below 0 where the left model is better.

    Each side is one or more --per_example files, its seeds. Their NLLs are averaged example by
    example; the interval resamples the labels `y` (without labels, the examples), so that it says
    how the difference varies with the test data, and `by_seed` how it varies with the seed: pair by
    pair, or where the sides have not as many, each seed of `left` against the mean of `right`.
    """
    sides = [[read(path) for path in paths] for paths in (left, right)]
    first = sides[0][0]
    for arrays in [*sides[0], *sides[1]]:
        if not np.array_equal(arrays["y"], first["y"]):
            raise ValueError("The files are not of the same examples: their labels differ.")
    means = [np.mean([arrays["nll"] for arrays in side], axis=0) for side in sides]
    found = paired_bootstrap(means[0] - means[1], first["y"], num_resamples)
    by_seed = [np.array([np.mean(arrays["nll"]) for arrays in side]) for side in sides]
    paired = len(left) == len(right)
    return {
        "title": title,
        "left_nats": float(means[0].mean()),
        "right_nats": float(means[1].mean()),
        "difference_nats": found.mean,
        "difference_nats_95": [found.low, found.high],
        "by_seed": (by_seed[0] - (by_seed[1] if paired else by_seed[1].mean())).tolist(),
        "num_examples": len(first["y"]),
        "num_clusters": found.num_clusters,
        "steps_per_example": float(np.mean(first["lengths"])) if "lengths" in first else None,
    }


def read(path: str) -> dict[str, np.ndarray]:
    """The arrays of a --per_example file; without labels every example is a cluster."""
    if not pathlib.Path(path).is_file():
        raise ValueError(f"No file {path}; launch/evaluate.py --per_example={path} writes it.")
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    arrays.setdefault("y", np.arange(len(arrays["nll"])))
    return arrays
