"""Seattle loop speeds: one detector, 26 half hours a day starting 6:30, 7:00, ..., 19:00, in mph.

The set of "Mind the Gap", section 5.4. Read from manual_dir: `speed_matrix_2015.csv`, the official
`speed_matrix_2015` (a pickled data frame: one row per 5 minutes of 2015, its time first, then one
column for each of 323 detectors) written out by

    import pandas
    pandas.read_pickle("speed_matrix_2015").to_csv("speed_matrix_2015.csv")

because a pickle can run code. Days of January to June are train, July to September valid, the rest
test; the detector is column 42, counted from 0. The text leaves both boundaries open.
"""

import csv
import datetime
import itertools
from pathlib import Path

import numpy as np

from rlvm.data import source

CSV_FILE = "speed_matrix_2015.csv"
LOCATION = 42
STEPS_PER_DAY = 288  # of 5 minutes
FIRST_STEP = 78  # 6:30
NUM_WINDOWS, WINDOW = 26, 6
FIRST_MONTH = {"train": 1, "valid": 7, "test": 10}


def read(variant: str, files: source.Files) -> source.Splits:
    """One sequence per day, split by month; `y` is the day of the year."""
    del variant
    if files.manual(CSV_FILE) is None:
        raise files.missing(CSV_FILE, ", the official pickle written as CSV (see traffic.py)")
    path = files.require(CSV_FILE)
    dates, speeds = read_column(path, LOCATION)
    days = half_hours(speeds.reshape(-1, STEPS_PER_DAY))
    months = np.array([date.month for date in dates[::STEPS_PER_DAY]])
    of_year = np.array([date.timetuple().tm_yday for date in dates[::STEPS_PER_DAY]], np.int32)
    first = list(FIRST_MONTH.values())
    splits = {}
    for name, start, end in zip(FIRST_MONTH, first, [*first[1:], 13], strict=True):
        inside = (months >= start) & (months < end)
        if not inside.any():
            raise ValueError(f"{path}: no day of the months {start} to {end - 1} for '{name}'")
        splits[name] = sequences(days[inside]) | {"y": of_year[inside]}
    return splits


def half_hours(days: np.ndarray) -> np.ndarray:
    """Means over the 26 half hours of days [N, 288, ...] of 5-minute values: [N, 26, ...].

    Missing values (NaN) are left out of a mean; a half hour without any is missing.
    """
    part = days[:, FIRST_STEP : FIRST_STEP + NUM_WINDOWS * WINDOW]
    parts = part.reshape(len(days), NUM_WINDOWS, WINDOW, *days.shape[2:])
    seen = ~np.isnan(parts)
    total, count = np.where(seen, parts, 0.0).sum(axis=2), seen.sum(axis=2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def sequences(days: np.ndarray) -> dict[str, np.ndarray]:
    """Days [N, 26] as sequences of one dimension."""
    lengths = np.full(len(days), NUM_WINDOWS, np.int32)
    return {"x": days[..., None].astype(np.float32), "lengths": lengths}


def read_column(path: Path, column: int) -> tuple[list[datetime.datetime], np.ndarray]:
    """Times and one detector's speeds, whole days; an empty cell is missing (NaN)."""
    times, speeds = [], []
    with path.open(newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if len(header) < column + 2:
            raise ValueError(
                f"{path}: {max(len(header) - 1, 0)} detectors, expected more than {column}"
            )
        for number, row in enumerate(rows, start=2):
            try:
                times.append(datetime.datetime.fromisoformat(row[0]))
                speeds.append(float(row[column + 1] or "nan"))
            except (IndexError, ValueError) as error:
                raise ValueError(f"{path}: line {number} is no row of a time and speeds") from error
    check_times(path, times)
    return times, np.array(speeds)


def check_times(path: Path, times: list[datetime.datetime]) -> None:
    """Refuse times that are not every 5 minutes of whole days."""
    step = datetime.timedelta(minutes=5)
    if not times or len(times) % STEPS_PER_DAY:
        raise ValueError(f"{path}: {len(times)} rows are not days of {STEPS_PER_DAY} rows")
    if (times[0].hour, times[0].minute) != (0, 0):
        raise ValueError(f"{path}: starts at {times[0]}, expected midnight")
    for before, after in itertools.pairwise(times):
        if after - before != step:
            raise ValueError(f"{path}: {after} follows {before}, expected 5 minutes later")


SOURCE = source.Source(
    version="1.0.0",
    description="Half-hour speeds of one Seattle loop detector in 2015 (Cui et al. 2019).",
    variants={"": source.Variant("real")},
    read=read,
)
