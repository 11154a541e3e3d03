"""MNIST as sequences: 28 steps of 28 pixels, the rows of an image from top to bottom.

Each pixel was drawn once, before all experiments, from a Bernoulli of its intensity ("Mind the
Gap", section 5.3): the images of `mnist/static`, seed and splits included.
"""

from collections.abc import Mapping

import numpy as np

from rlvm.data import mnist, source


def read(variant: str, files: source.Files) -> source.Splits:
    """The splits of `mnist/static`, one row of pixels per step."""
    del variant
    splits = mnist.read("static", files)
    return {name: as_rows(arrays) for name, arrays in splits.items()}


def as_rows(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Images x [N, 784] as sequences [N, 28, 28]; labels stay."""
    x = arrays["x"].reshape(-1, mnist.SIDE, mnist.SIDE)
    lengths = np.full(len(x), mnist.SIDE, np.int32)
    return {**arrays, "x": x, "lengths": lengths}


SOURCE = source.Source(
    version="1.0.0",
    description="Static MNIST by rows, 28 steps of 28 pixels (Bayer, Soelch et al. 2021).",
    variants={"": source.Variant("binary", seeded=True)},
    read=read,
)
