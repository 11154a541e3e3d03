"""Occluded Moving MNIST: a digit moves behind bars; frames [N, T, 32, 32] grey, label `y` [N].

A 14x14 digit (2x2 means of an MNIST digit) in black ink on a white 32x32 frame starts anywhere,
moves by one of the 8 vectors (+-1, +-2), (+-2, +-1) a frame and bounces off the borders. Black bars
4 pixels wide with 8 pixels between them, vertical and horizontal, stand in front of it.

Variants, T = 5, 10 or 20 frames: `occluded_moving_mnist/5` and so on; `clean_T` without bars;
`two_T` with two digits, whose `labels` [N, 2] are no `y`; `reconstruction_T`, one frame [32, 32]
with every digit pixel that was seen in any of the T frames, at the digit's last place;
`labels1000_T`, all examples but only 1,000 labels (100 of each class, else y = -1);
`only1000_T`, those 1,000 examples alone. Made from MNIST by a seed: the splits are MNIST's.
"""

from collections.abc import Mapping

import numpy as np

from rlvm.data import mnist, source

SIDE, DIGIT = 32, 14
ROOM = SIDE - DIGIT
FREE, BAR = 8, 4
VELOCITIES = np.array(
    [(a * s, b * t) for a, b in ((1, 2), (2, 1)) for s in (1, -1) for t in (1, -1)]
)
FRAMES = (5, 10, 20)
KINDS = ("", "clean", "two", "reconstruction", "labels1000", "only1000")
NUM_LABELS, NUM_CLASSES = 1000, 10
SPLIT_SEEDS = {"train": 0, "valid": 1, "test": 2}


def read(variant: str, files: source.Files) -> source.Splits:
    """The splits of '5', 'clean_10', ..."""
    kind, _, frames = variant.rpartition("_")
    digits = mnist.read("grey", files)
    splits = {
        name: moving(part, kind, int(frames), 3 * files.seed + SPLIT_SEEDS[name])
        for name, part in digits.items()
    }
    if kind in ("labels1000", "only1000"):
        labelled = first_of_each_class(splits["train"]["y"])
        splits["train"] = few_labels(splits["train"], labelled, kind == "only1000")
    return splits


def moving(
    part: Mapping[str, np.ndarray], kind: str, num_frames: int, seed: int
) -> dict[str, np.ndarray]:
    """One split of MNIST set in motion."""
    ink = shrink(part["x"].reshape(-1, 28, 28))  # [N, 14, 14]
    count = len(ink)
    draws = source.uniforms(
        np.random.PCG64(seed), (count, 2, 4)
    )  # [N, digits, (x, y, velocity, partner)]
    paths = [path(draws[:, k], num_frames) for k in range(2)]
    if kind == "reconstruction":
        return {"x": reconstruct(ink, paths[0]), "y": part["y"]}
    frames = draw(ink, paths[0])
    labels = {"y": part["y"]}
    if kind == "two":
        partner = (draws[:, 1, 3] * count).astype(int)
        frames = np.maximum(frames, draw(ink[partner], paths[1]))
        labels = {"labels": np.stack([part["y"], part["y"][partner]], 1)}
    frames = 255 - frames
    if kind != "clean":
        frames[:, :, bars()] = 0
    return {"x": frames, **labels}


def shrink(images: np.ndarray) -> np.ndarray:
    """2x2 means, rounded: [N, 28, 28] -> [N, 14, 14] uint8."""
    blocks = images.reshape(-1, DIGIT, 2, DIGIT, 2).astype(np.uint16).sum((2, 4))
    return ((blocks + 2) // 4).astype(np.uint8)


def path(draws: np.ndarray, num_frames: int) -> np.ndarray:
    """Upper left corners [N, T, 2] of a start, a velocity and bounces: draws [N, 4] in [0, 1)."""
    place = (draws[:, :2] * (ROOM + 1)).astype(int)
    velocity = VELOCITIES[(draws[:, 2] * len(VELOCITIES)).astype(int)]
    corners = []
    for _ in range(num_frames):
        corners.append(place)
        place = place + velocity
        outside = (place < 0) | (place > ROOM)
        velocity = np.where(outside, -velocity, velocity)
        place = np.where(place < 0, -place, np.where(place > ROOM, 2 * ROOM - place, place))
    return np.stack(corners, 1)


def draw(ink: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Ink [N, T, 32, 32] of digits [N, 14, 14] at `corners` [N, T, 2]."""
    frames = np.zeros((*corners.shape[:2], SIDE, SIDE), np.uint8)
    n, t, rows, columns = places(corners)
    frames[n, t, rows, columns] = ink[:, None]
    return frames


def places(corners: np.ndarray):
    """Indices of the digits' pixels in [N, T, 32, 32]; together they have shape [N, T, 14, 14]."""
    n, t = (np.arange(size) for size in corners.shape[:2])
    span = np.arange(DIGIT)
    rows = corners[..., 0, None, None] + span[:, None]
    columns = corners[..., 1, None, None] + span
    return n[:, None, None, None], t[:, None, None], rows, columns


def bars() -> np.ndarray:
    """Where the bars stand: [32, 32] bool."""
    behind = np.arange(SIDE) % (FREE + BAR) >= FREE
    return behind[:, None] | behind


def reconstruct(ink: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The digit as far as it was seen, at its last place: [N, 32, 32], pixels never seen black."""
    _, _, rows, columns = places(corners)
    seen = ~bars()[rows, columns].all(1)  # [N, 14, 14]
    frames = np.full((len(ink), 1, SIDE, SIDE), 255, np.uint8)
    n, t, rows, columns = places(corners[:, -1:])
    frames[n, t, rows, columns] = np.where(seen, 255 - ink, 0)[:, None]
    return frames[:, 0]


def first_of_each_class(labels: np.ndarray) -> np.ndarray:
    """Where the first 100 examples of each class are: [N] bool."""
    labelled = np.zeros(len(labels), bool)
    for label in range(NUM_CLASSES):
        labelled[np.flatnonzero(labels == label)[: NUM_LABELS // NUM_CLASSES]] = True
    return labelled


def few_labels(part: Mapping[str, np.ndarray], labelled: np.ndarray, only: bool) -> dict:
    """The split with the other labels hidden as -1, or with the `labelled` examples alone."""
    if only:
        return {name: array[labelled] for name, array in part.items()}
    return {**part, "y": np.where(labelled, part["y"], -1).astype(np.int32)}


SOURCE = source.Source(
    version="1.0.0",
    description="MNIST digits moving behind bars (Premont-Schwarz et al. 2017), drawn anew.",
    variants={
        "_".join(filter(None, (kind, str(frames)))): source.Variant("grey", seeded=True)
        for kind in KINDS
        for frames in FRAMES
    },
    read=read,
)
