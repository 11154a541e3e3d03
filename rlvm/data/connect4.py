"""Connect-4: every legal 8-ply position whose outcome is open, generated from the rules.

A position is kept when neither player has won and the next move is not forced (no side could win at
once), one of each mirror pair: the 67,557 rows of UCI's connect-4. Cells a1..a6, b1..g6 are each
one-hot over (x, blank, o), so D = 126. Rows stand in depth-first order of the game tree, columns
tried in the order d, c, e, b, f, a, g, and the first-seen of two mirror images is kept.
"""

import hashlib
from pathlib import Path

import numpy as np

from rlvm.data import npz, source

COLUMNS, ROWS, PLIES = 7, 6, 8
MOVE_ORDER = (3, 2, 4, 1, 5, 0, 6)
NUM_POSITIONS = 67557
SHA256 = "99a25a4306f86b4b0edf692690fcb6f60f06d6765eb15f1da000a132ab8a2e51"
SPLIT_SIZES = {"train": 16000, "valid": 4000, "test": 47557}
NADE_FILE = "uci_connect4.npz"

# A board is two int64 bitboards with 7 bits a column: 6 cells and an empty guard bit on top, so
# that a line of four can be found by shifts without wrapping into the next column.
_STRIDE = ROWS + 1
_DIRECTIONS = (1, _STRIDE, _STRIDE - 1, _STRIDE + 1)
_FULL_COLUMN = (1 << ROWS) - 1


def has_four(stones: np.ndarray) -> np.ndarray:
    """Whether each bitboard holds four in a line."""
    found = np.zeros(stones.shape, bool)
    for shift in _DIRECTIONS:
        pairs = stones & (stones >> shift)
        found |= (pairs & (pairs >> (2 * shift))) != 0
    return found


def drop(occupied: np.ndarray, column: int) -> np.ndarray:
    """The bit of the lowest free cell of `column`, 0 where the column is full."""
    mask = _FULL_COLUMN << (column * _STRIDE)
    return ((occupied & mask) + (1 << (column * _STRIDE))) & mask & ~occupied


def mirror(stones: np.ndarray) -> np.ndarray:
    """The bitboards with columns a..g exchanged for g..a."""
    flipped = np.zeros_like(stones)
    for column in range(COLUMNS):
        cells = (stones >> (column * _STRIDE)) & _FULL_COLUMN
        flipped |= cells << ((COLUMNS - 1 - column) * _STRIDE)
    return flipped


def can_win(stones: np.ndarray, occupied: np.ndarray) -> np.ndarray:
    """Whether one more stone would make four in a line."""
    moves = (drop(occupied, column) for column in range(COLUMNS))
    return np.logical_or.reduce([(m != 0) & has_four(stones | m) for m in moves])


def _first_of_mirror_pairs(to_move: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Indices, in order, of the first board of each class of equal or mirrored boards."""
    board = np.stack([to_move, other], -1)  # [N, 2]
    flipped = np.stack([mirror(to_move), mirror(other)], -1)
    smaller = (board[:, 0] < flipped[:, 0]) | (
        (board[:, 0] == flipped[:, 0]) & (board[:, 1] <= flipped[:, 1])
    )
    canonical = np.where(smaller[:, None], board, flipped)
    _, first = np.unique(canonical, axis=0, return_index=True)
    return np.sort(first)


def _next_ply(to_move: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All boards one move later; breadth-first here keeps the depth-first order of first visits."""
    occupied = to_move | other
    stones = np.stack([drop(occupied, column) for column in MOVE_ORDER], 1)  # [N, 7]
    legal = stones != 0
    moved = (to_move[:, None] | stones)[legal]
    waiting = np.broadcast_to(other[:, None], stones.shape)[legal]
    going_on = ~has_four(moved)
    to_move, other = waiting[going_on], moved[going_on]
    keep = _first_of_mirror_pairs(to_move, other)
    return to_move[keep], other[keep]


def encode(x: np.ndarray, o: np.ndarray) -> np.ndarray:
    """One-hot cells (x, blank, o) of the bitboards, columns a..g, each from its lowest cell."""
    bits = np.array([c * _STRIDE + r for c in range(COLUMNS) for r in range(ROWS)])
    has_x, has_o = ((stones[:, None] >> bits) & 1 for stones in (x, o))  # [N, 42]
    return np.stack([has_x, 1 - has_x - has_o, has_o], -1).reshape(len(x), -1).astype(np.uint8)


def positions() -> np.ndarray:
    """All 67,557 positions [67557, 126]; their bytes are checked against the known sha256."""
    to_move = other = np.zeros(1, np.int64)
    for _ in range(PLIES):
        to_move, other = _next_ply(to_move, other)
    occupied = to_move | other
    quiet = ~(can_win(to_move, occupied) | can_win(other, occupied))
    rows = encode(to_move[quiet], other[quiet])  # x began, so after 8 plies x is to move
    if hashlib.sha256(rows.tobytes()).hexdigest() != SHA256:
        raise RuntimeError(f"generated {rows.shape} Connect-4 rows that differ from the known set")
    return rows


def own_split(seed: int) -> source.Splits:
    """All positions in a seeded order, cut as the NADE split is: 16000, 4000 and 47557 rows."""
    rows = positions()[source.permutation(seed, NUM_POSITIONS)]
    bounds = np.cumsum(list(SPLIT_SIZES.values()))[:-1]
    parts = np.split(rows, bounds)
    return {name: {"x": part} for name, part in zip(SPLIT_SIZES, parts, strict=True)}


def nade_split(files: source.Files) -> source.Splits:
    """The split of the NADE papers, from its file in manual_dir."""
    path = files.require(NADE_FILE)
    splits = npz.splits(path, width=126)
    for name, arrays in splits.items():
        npz.expect(path, name, arrays["x"], (SPLIT_SIZES[name], 126))
    return splits


def read(variant: str, files: source.Files) -> source.Splits:
    """The splits of 'own_split' or 'nade_split'."""
    return nade_split(files) if variant == "nade_split" else own_split(files.seed)


def _default(manual_dir: Path | None) -> str:
    has_file = manual_dir is not None and (manual_dir / NADE_FILE).is_file()
    return "nade_split" if has_file else "own_split"


SOURCE = source.Source(
    version="1.0.0",
    description="Connect-4 positions after 8 plies, neither won nor forced.",
    variants={
        "own_split": source.Variant("binary", seeded=True),
        "nade_split": source.Variant("binary"),
    },
    read=read,
    default=_default,
)
