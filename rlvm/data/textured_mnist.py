"""Textured MNIST: a thickened digit cut from one texture on a background of another.

`x` grey [N, S, S], `segments` [N, S, S] (1 inside the digit), `y` [N]. Each of the two textures,
never the same, is turned by any angle, scaled by 0.7 to 1.4 and taken from a random place.
`textured_mnist/full`: S = 84, MNIST's splits; `/small`: S = 48, the first 20,000, 2,000 and 2,000
digits of them; `/labels1000`: as full, with 1,000 labels in train (100 of each class, else -1).

Textures are `brodatz.npz` of manual_dir (arrays [H, W] uint8, one a texture), else the images of
its folder `textures`, else scikit-image's brick, grass and gravel. Each is equalised, its pixels as
often at any of 0 to 255, so that neither brightness nor contrast tells them apart.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import ndimage, stats

from rlvm.data import mnist, npz, source
from rlvm.data.occluded_moving_mnist import SPLIT_SEEDS, few_labels, first_of_each_class

SIZES = {"full": 84, "small": 48, "labels1000": 84}
SMALL_SPLITS = {"train": 20_000, "valid": 2_000, "test": 2_000}
NPZ_FILE, FOLDER, PACKAGED = "brodatz.npz", "textures", ("brick", "grass", "gravel")
SCALES = (0.7, 1.4)


def read(variant: str, files: source.Files) -> source.Splits:
    """The splits of 'full', 'small' or 'labels1000'."""
    side = SIZES[variant]
    textures = read_textures(files, side)
    splits = {}
    for name, part in mnist.read("grey", files).items():
        if variant == "small":
            part = {key: array[: SMALL_SPLITS[name]] for key, array in part.items()}
        seed = 1000 + 3 * files.seed + SPLIT_SEEDS[name]
        splits[name] = textured(part, textures, side, seed)
    if variant == "labels1000":
        labelled = first_of_each_class(splits["train"]["y"])
        splits["train"] = few_labels(splits["train"], labelled, only=False)
    return splits


def read_textures(files: source.Files, side: int) -> list[np.ndarray]:
    """At least two textures [H, W] float32, equalised; each no smaller than its patch."""
    found = _from_npz(files) or _from_folder(files) or _packaged(files)
    least = int(np.ceil(side * max(SCALES)))
    for name, texture in found.items():
        if texture.ndim != 2 or min(texture.shape) < least:
            raise ValueError(
                f"{name}: a texture of shape {texture.shape}; expected grey [H, W], at least "
                f"{least}x{least} for patches of {side}x{side}"
            )
    if len(found) < 2:
        raise ValueError(f"{next(iter(found))}: the only texture; expected at least two")
    return [equalized(name, texture) for name, texture in found.items()]


def equalized(name: str, texture: np.ndarray) -> np.ndarray:
    """The texture with every value replaced by its rank, from 0 to 255; equal values stay equal."""
    if not np.isfinite(texture).all() or np.ptp(texture) == 0:
        raise ValueError(f"{name}: a texture without contrast or with values that are not finite")
    ranks = stats.rankdata(texture).reshape(texture.shape) - 0.5  # within 0 .. size
    return (255 * ranks / texture.size).astype(np.float32)


def _from_npz(files: source.Files) -> Mapping[str, np.ndarray]:
    path = files.manual(NPZ_FILE)
    return {f"{path}: '{k}'": v for k, v in npz.read(path).items()} if path else {}


def _from_folder(files: source.Files) -> Mapping[str, np.ndarray]:
    folder = files.manual_dir and files.manual_dir / FOLDER
    if not folder or not folder.is_dir():
        return {}
    found = {str(path): _image(path) for path in sorted(folder.iterdir()) if path.is_file()}
    if not found:
        raise ValueError(f"{folder}: holds no images; expected at least two textures")
    return found


def _image(path: Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L"))
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as an image") from error


def _packaged(files: source.Files) -> Mapping[str, np.ndarray]:
    try:
        from skimage import data
    except ImportError as error:
        raise files.missing(
            NPZ_FILE, f", nor a folder {FOLDER}; scikit-image is not installed (extra 'textures')"
        ) from error
    return {f"scikit-image's {name}": getattr(data, name)() for name in PACKAGED}


def textured(
    part: Mapping[str, np.ndarray], textures: list[np.ndarray], side: int, seed: int
) -> dict[str, np.ndarray]:
    """One split of MNIST in textures."""
    draws = source.uniforms(np.random.PCG64(seed), (len(part["x"]), 2, 5))
    segments = thickened(part["x"].reshape(-1, 28, 28), side)
    x = np.empty(segments.shape, np.uint8)
    for i, inside in enumerate(segments):
        front, back = chosen(draws[i, :, 0], len(textures))
        digit = patch(textures[front], side, draws[i, 0, 1:])
        ground = patch(textures[back], side, draws[i, 1, 1:])
        x[i] = np.clip(np.rint(np.where(inside, digit, ground)), 0, 255)
    return {"x": x, "segments": segments, "y": part["y"]}


def chosen(draws: np.ndarray, count: int) -> tuple[int, int]:
    """Two different textures, every ordered pair as likely: draws [2] in [0, 1)."""
    front, step = int(draws[0] * count), 1 + int(draws[1] * (count - 1))
    return front, (front + step) % count


def thickened(images: np.ndarray, side: int) -> np.ndarray:
    """Where the digits are, grown by a pixel of the original all around: [N, S, S] uint8."""
    grown = ndimage.maximum_filter(images, size=(1, 3, 3))
    places = (np.arange(side) + 0.5) * 28 / side - 0.5  # of the new pixels' centres
    low = np.clip(np.floor(places).astype(int), 0, 26)
    share = np.clip(places - low, 0, 1).astype(np.float32)
    rows = grown[:, low] * (1 - share)[:, None] + grown[:, low + 1] * share[:, None]
    both = rows[:, :, low] * (1 - share) + rows[:, :, low + 1] * share
    return (both > 127.5).astype(np.uint8)


def patch(texture: np.ndarray, side: int, draws: np.ndarray) -> np.ndarray:
    """A square [S, S] of the texture, turned, scaled and placed by draws [4] in [0, 1)."""
    angle = 2 * np.pi * draws[0]
    scale = SCALES[0] * (SCALES[1] / SCALES[0]) ** draws[1]
    centre = draws[2:] * (np.array(texture.shape) - 1)
    offsets = (np.arange(side) - (side - 1) / 2) / scale
    down, right = np.meshgrid(offsets, offsets, indexing="ij")
    rows = centre[0] + np.cos(angle) * down - np.sin(angle) * right
    columns = centre[1] + np.sin(angle) * down + np.cos(angle) * right
    return ndimage.map_coordinates(texture, [rows, columns], order=1, mode="mirror")


SOURCE = source.Source(
    version="2.0.0",
    description="MNIST digits cut from one texture on another, with the true segments.",
    variants={name: source.Variant("grey", seeded=True) for name in SIZES},
    read=read,
    default=lambda manual_dir: "full",
)
