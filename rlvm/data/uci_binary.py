"""The binary UCI sets of table 1, in the splits of Larochelle and Murray's NADE.

Each is read from manual_dir, from the first of these that is there:

- `uci_<name>.npz` with arrays train, valid and test [N, D] of 0 and 1;
- the three text files of the NADE distribution (`FORMATS` names them and their layouts);
- for `mushrooms` UCI's own `agaricus-lepiota.data`, for which the split is our own, seeded.

Connect-4, the eighth set of that table, needs no file: it is `connect4`.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rlvm.data import npz, source

URL = "http://www.cs.toronto.edu/~larocheh/public/datasets/"
SPLITS = ("train", "valid", "test")


def read_libsvm(path: Path, width: int) -> np.ndarray:
    """Lines `target index:value ...` with indices from 1: values uint8 [N, width]."""
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    x = np.zeros((len(rows), width), np.uint8)
    try:
        for row, tokens in zip(x, rows, strict=True):
            for token in tokens[1:]:
                index, value = token.split(":")
                if not 1 <= int(index) <= width:
                    raise ValueError(f"index {index} is not in 1..{width}")
                if float(value) not in (0, 1):
                    raise ValueError(f"value {value} is not 0 or 1")
                row[int(index) - 1] = int(float(value))
    except ValueError as error:
        raise ValueError(f"{path}: not in the layout 'target index:value ...': {error}") from error
    return x


def read_table(path: Path, width: int) -> np.ndarray:
    """Lines of `width` binary values and a target, separated by blanks: uint8 [N, width]."""
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    wrong = next((len(row) for row in rows if len(row) != width + 1), None)
    if wrong is not None:
        raise ValueError(f"{path}: a line has {wrong} values, expected {width} and a target")
    values = [row[:width] for row in rows]
    if not {token for row in values for token in row} <= {"0", "1"}:
        raise ValueError(f"{path}: expected values 0 and 1 before each line's target")
    return np.array(values, np.uint8)


@dataclasses.dataclass(frozen=True)
class Format:
    """One set: its width, the rows of its splits, and its files in the NADE distribution."""

    width: int
    rows: tuple[int, int, int]
    files: str
    parse: Callable[[Path, int], np.ndarray]


FORMATS = {
    "adult": Format(123, (5000, 1414, 26147), "adult/a5a_{}.libsvm", read_libsvm),
    "dna": Format(180, (1400, 600, 1186), "dna/dna_scale_{}.libsvm", read_libsvm),
    "mushrooms": Format(112, (2000, 500, 5624), "mushrooms/mushrooms_{}.libsvm", read_libsvm),
    "nips": Format(
        500, (400, 100, 1240), "nips-0-12/nips-0-12_all_shuffled_bidon_target_{}.amat", read_table
    ),
    "ocr_letters": Format(128, (32152, 10000, 10000), "ocr_letters/ocr_letters_{}.txt", read_table),
    "rcv1": Format(
        150, (40000, 10000, 150000), "rcv1/rcv1_all_subset.binary_{}_voc_150.amat", read_table
    ),
    "web": Format(300, (14000, 3188, 32561), "web/w6a_{}.libsvm", read_libsvm),
}

MUSHROOMS_FILE = "agaricus-lepiota.data"
STALK_ROOT = 11  # has missing values; left out, which gives NADE's 112 columns


def read_mushrooms(path: Path) -> np.ndarray:
    """UCI's rows `class,22 letters`, each attribute one-hot over its letters in order: [N, 112]."""
    rows = [line.split(",") for line in path.read_text().split()]
    if not rows or {len(row) for row in rows} != {23}:
        raise ValueError(f"{path}: expected lines of 23 letters separated by commas")
    letters = np.array(rows)[:, 1:]
    kept = [letters[:, k] for k in range(letters.shape[1]) if k != STALK_ROOT - 1]
    return np.concatenate([c[:, None] == np.unique(c) for c in kept], axis=1).astype(np.uint8)


def own_split(x: np.ndarray, rows: tuple[int, ...], seed: int) -> list[np.ndarray]:
    """The rows in a seeded order, cut to the sizes of the NADE split."""
    return np.split(x[source.permutation(seed, len(x))], np.cumsum(rows)[:-1])


def read(variant: str, files: source.Files) -> source.Splits:
    """The splits of one set, from the first place that has it."""
    wanted = FORMATS[variant]
    path, parts = _find(variant, wanted, files)
    splits = {}
    for name, count, x in zip(SPLITS, wanted.rows, parts, strict=True):
        splits[name] = {"x": npz.expect(path, name, x, (count, wanted.width))}
    return splits


def _find(name: str, wanted: Format, files: source.Files) -> tuple[Path, list[np.ndarray]]:
    """Where the set was found (for complaints), and its train, valid and test rows."""
    if path := files.manual(f"uci_{name}.npz"):
        splits = npz.splits(path, wanted.width)
        return path, [splits[split]["x"] for split in SPLITS]
    texts = [wanted.files.format(split).split("/")[-1] for split in SPLITS]
    if all(files.manual(text) for text in texts):
        paths = [files.require(text) for text in texts]
        return paths[0].parent, [wanted.parse(path, wanted.width) for path in paths]
    if name == "mushrooms" and (path := files.manual(MUSHROOMS_FILE)):
        return path, own_split(read_mushrooms(path), wanted.rows, files.seed)
    raise files.missing(f"uci_{name}.npz (or {', '.join(texts)} from {URL})")


SOURCE = source.Source(
    version="1.0.0",
    description="Binary UCI data sets in the splits of NADE (Larochelle and Murray 2011).",
    variants={name: source.Variant("binary") for name in FORMATS},
    read=read,
)
