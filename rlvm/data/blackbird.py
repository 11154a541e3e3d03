"""Blackbird: windows of 25 steps of drone flights, positions x in R^3 and controls u in R^14.

The set of "Mind the Gap", section 5.2: positions in metres from the start of a window, controls
the inertial readings (acceleration, angular rate), four rotor speeds and four pulse widths. Read
from manual_dir in the layout of the official server,

    BlackbirdDatasetData/<trajectory>/<yaw>/<maxSpeed...>/csv/blackbird_slash_{state,imu,rotor_rpm,pwm}.csv

whose rows begin with the recording's clock in ns. Positions are interpolated at 10 Hz, controls are
means over the 0.1 s that follow; windows with a gap in the recordings are left out. Flights are
split 60/20/20 from the seed, and each split draws 10,240 windows (rate, split by flight and
drawing are ours, the text gives the number alone). `y` is the flight.
"""

import csv
from pathlib import Path

import numpy as np

from rlvm.data import source, windows

ROOT = "BlackbirdDatasetData"
NUM_TIMESTEPS, NUM_WINDOWS = 25, 10_240
STEP_NS = 100_000_000
FILES = ("state", "imu", "rotor_rpm", "pwm")


def read(variant: str, files: source.Files) -> source.Splits:
    """Windows drawn from the flights of each split."""
    del variant
    flights = [flight(folder) for folder in folders(files)]
    splits = {}
    for number, (name, group) in enumerate(windows.split_groups(len(flights), files.seed).items()):
        starts = [(index, start) for index in group for start in whole_windows(*flights[index])]
        if not starts:
            raise ValueError(f"{ROOT}: no whole window in the {len(group)} flights of '{name}'")
        bits = np.random.PCG64(files.seed + 1 + number)
        drawn = (source.uniforms(bits, (NUM_WINDOWS,)) * len(starts)).astype(int)
        splits[name] = cut(flights, [starts[i] for i in drawn])
    return windows.standardised(splits, "u")


def folders(files: source.Files) -> list[Path]:
    """The csv folders of all flights, in order of their names; at least one for each split."""
    root = files.manual_dir / ROOT if files.manual_dir else None
    found = sorted(root.glob("*/*/maxSpeed*/csv")) if root else []
    if len(found) < len(windows.FRACTIONS):
        raise files.missing(f"{ROOT}/<trajectory>/<yaw>/<speed>/csv", f" ({len(found)} flights)")
    return found


def flight(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Positions [T, 3] and controls [T, 14] of one flight at 10 Hz; NaN in a gap."""
    paths = {name: folder / f"blackbird_slash_{name}.csv" for name in FILES}
    clock, position = columns(paths["state"], "position")
    recordings = [
        columns(paths["imu"], "linear_acceleration"),
        columns(paths["imu"], "angular_velocity"),
        bracketed(paths["rotor_rpm"]),
        bracketed(paths["pwm"]),
    ]
    edges = np.arange(clock[0], clock[-1], STEP_NS)
    x = np.stack([np.interp(edges, clock, axis) for axis in position.T], axis=-1)
    u = np.concatenate([bin_means(*recording, edges) for recording in recordings], axis=-1)
    x[~np.isfinite(bin_means(clock, position, edges))] = np.nan  # no position in that step
    return x, u


def columns(path: Path, group: str) -> tuple[np.ndarray, np.ndarray]:
    """Clock [N] and the columns x, y, z [N, 3] that follow the column named `group`."""
    header, rows = table(path)
    if group not in header or header[header.index(group) + 1 :][:3] != ["x", "y", "z"]:
        raise ValueError(f"{path}: no columns {group}, x, y, z. Columns: {', '.join(header)}")
    first = header.index(group) + 1
    return parse(path, rows, lambda row: row[first : first + 3], 3)


def bracketed(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Clock [N] and the four values [N, 4] of the cell "[a, b, c, d]", in whatever column it is."""

    def values(row):
        cell = next(cell for cell in row if cell.startswith("["))
        return cell.strip("[]").split(",")

    return parse(path, table(path)[1], values, 4)


def table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV file."""
    if not path.is_file():
        raise ValueError(f"No file {path}")
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if not rows:
        raise ValueError(f"{path}: no rows")
    return header, rows


def parse(path: Path, rows, values, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Clock and values of the rows, in order of the clock."""
    try:
        clock = np.array([int(row[0]) for row in rows])
        array = np.array([[float(value) for value in values(row)] for row in rows])
    except (IndexError, StopIteration, ValueError) as error:
        raise ValueError(f"{path}: rows are not a clock in ns and {width} numbers") from error
    if array.shape != (len(rows), width):
        raise ValueError(f"{path}: rows hold {array.shape[1:]} values, expected {width}")
    order = np.argsort(clock, kind="stable")
    return clock[order], array[order]


def bin_means(clock: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Means [T, W] of values [N, W] over [edge, edge + 0.1 s); NaN where there are none."""
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    start, end = np.searchsorted(clock, edges), np.searchsorted(clock, edges + STEP_NS)
    count = (end - start)[:, None]
    return np.where(count > 0, (sums[end] - sums[start]) / np.maximum(count, 1), np.nan)


def whole_windows(x: np.ndarray, u: np.ndarray) -> list[int]:
    """The steps at which a window without gaps can start."""
    whole = np.isfinite(x).all(axis=1) & np.isfinite(u).all(axis=1)
    run = np.convolve(whole, np.ones(NUM_TIMESTEPS, int))[NUM_TIMESTEPS - 1 :]
    return np.flatnonzero(run[: len(x)] == NUM_TIMESTEPS).tolist()


def cut(flights: list, starts: list[tuple[int, int]]) -> dict[str, np.ndarray]:
    """The windows that begin at (flight, step)."""
    x = np.stack([flights[i][0][s : s + NUM_TIMESTEPS] for i, s in starts])
    u = np.stack([flights[i][1][s : s + NUM_TIMESTEPS] for i, s in starts])
    return {
        "x": windows.from_origin(x).astype(np.float32),
        "u": u.astype(np.float32),
        "lengths": np.full(len(starts), NUM_TIMESTEPS, np.int32),
        "y": np.array([i for i, _ in starts], np.int32),
    }


SOURCE = source.Source(
    version="1.0.0",
    description="Windows of Blackbird drone flights (Antonini et al. 2018).",
    variants={"": source.Variant("real", seeded=True)},
    read=read,
)
