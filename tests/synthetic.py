"""Made data of the shapes of every data set, so that no test of a config needs a file.

A config's data set is found here by the first part of `data.name`; add a line for a new one.
"""

import hashlib

import numpy as np

from rlvm.data.dataset import Dataset

UCI = {
    "adult": 123,
    "dna": 180,
    "mushrooms": 112,
    "nips": 500,
    "ocr_letters": 128,
    "rcv1": 150,
    "web": 300,
}


NARROW = 24


def vectors(draw, rows, dims, kind="binary"):
    high = 256 if kind == "grey" else 2
    return {"x": draw.integers(0, high, (rows, dims)).astype(np.uint8)}


def sequences(draw, rows, steps, dims):
    lengths = draw.integers(2, steps + 1, rows).astype(np.int32)
    x = draw.integers(0, 2, (rows, steps, dims)).astype(np.uint8)
    x *= (np.arange(steps) < lengths[:, None])[..., None].astype(np.uint8)
    return {"x": x, "lengths": lengths}


def recorded(draw, rows, steps, dims, controls=0):
    """Real sequences of full length, with controls."""
    x = draw.normal(size=(rows, steps, dims)).astype(np.float32)
    arrays = {"x": x, "lengths": np.full(rows, steps, np.int32)}
    u = draw.normal(size=(rows, steps, controls)).astype(np.float32)
    return arrays | ({"u": u} if controls else {})


def piano_rolls(draw, rows, config):
    return sequences(draw, rows, 8, 88)


def own_arrays(draw, rows, config):
    """`data.name=arrays` may be anything: what the model of the config reads."""
    if config.model.name in ("ladder", "tagger"):
        return piano_rolls(draw, rows, config)
    if config.model.name == "ssm":
        return sequences(draw, rows, 6, 5)
    return vectors(draw, rows, 12)


def edges(draw, rows, config):
    """Binary frames, small where the model is: a background of 209 x 159 is not tiny."""
    shape = (14, 11) if config.model.visible_size == 3 else (209, 159)
    return {"x": draw.integers(0, 2, (rows, *shape)).astype(np.uint8)}


def frames(draw, rows, config):
    """Grey images with labels; a ladder over frames gets five of them."""
    static = config.model.num_iterations > 0
    shape = config.model.frame_shape[:2] if static else (5, *config.model.frame_shape[:2])
    labels = draw.integers(0, 10, rows).astype(np.int32)
    return {"x": draw.integers(0, 256, (rows, *shape)).astype(np.uint8), "y": labels}


def textured(draw, rows, config):
    """Grey images with labels and segments."""
    arrays = frames(draw, rows, config)
    return arrays | {"segments": draw.integers(0, 2, arrays["x"].shape).astype(np.uint8)}


FIELDS = {
    "arrays": own_arrays,
    "atari_frames": edges,
    "binarized_mnist": lambda draw, rows, config: vectors(draw, rows, 784),
    "connect4": lambda draw, rows, config: vectors(draw, rows, 126),
    "mnist": lambda draw, rows, config: vectors(draw, rows, 784, "grey"),
    "occluded_moving_mnist": frames,
    "polyphonic_music": piano_rolls,
    "row_mnist": lambda draw, rows, config: {
        "x": draw.integers(0, 2, (rows, 28, 28)).astype(np.uint8)
    },
    "textured_mnist": textured,
    **dict.fromkeys(("metr_la", "traffic"), lambda draw, rows, config: recorded(draw, rows, 26, 1)),
    **dict.fromkeys(
        ("blackbird", "quadrotor"), lambda draw, rows, config: recorded(draw, rows, 25, 3, 12)
    ),
    "uci_binary": lambda draw, rows, config: vectors(
        draw, rows, UCI[config.data.name.partition("/")[2]]
    ),
}
GREY = {"mnist", "occluded_moving_mnist", "textured_mnist"}


def dataset(config, rows: int, narrow: bool = False) -> Dataset:
    """A data set with `rows` training rows and 4 rows in the other splits.

    `narrow` keeps the first 24 columns of vectors: a triangular kernel over 784 is not tiny.
    """
    base = config.data.name.partition("/")[0]
    if base not in FIELDS:
        raise KeyError(f"No made data for '{config.data.name}': add it to {__name__}.FIELDS.")
    draw = np.random.default_rng(0)
    splits = {
        name: FIELDS[base](draw, size, config)
        for name, size in (("train", rows), ("valid", 4), ("test", 4))
    }
    if narrow:
        for arrays in splits.values():
            arrays["x"] = arrays["x"][:, :NARROW] if arrays["x"].ndim == 2 else arrays["x"]
    return made(splits, config.data.name, "grey" if base in GREY else "binary")


def made(splits, name="made", kind="binary", binarize=None) -> Dataset:
    """A Dataset of arrays in memory."""
    sha256 = {
        split: hashlib.sha256(arrays["x"].tobytes()).hexdigest() for split, arrays in splits.items()
    }
    return Dataset(name, splits, sha256, kind, kind == "grey" if binarize is None else binarize)
