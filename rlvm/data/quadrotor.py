"""Windows of 25 steps (2.5 s at 10 Hz) of real quadrotor flights, with inertial readings as u.

A stand-in for Blackbird. Read from manual_dir: `quadrotor_flights.npz` with, for each split,
`<split>_position` [total, 3] in metres (north, east, height), `<split>_imu` [total, 12] (means of
acceleration and angular rate over a step, then their standard deviations) and `<split>_lengths`.
Positions start at the origin in every window; u is standardised over train; `y` is the flight,
which lies in one split only.
"""

from pathlib import Path

import numpy as np

from rlvm.data import npz, source, windows

NPZ_FILE = "quadrotor_flights.npz"
NUM_TIMESTEPS = 25
SPLITS = ("train", "valid", "test")


def read(variant: str, files: source.Files) -> source.Splits:
    """The windows of each split's flights."""
    del variant
    path = files.require(NPZ_FILE)
    names = [f"{split}_{part}" for split in SPLITS for part in ("position", "imu", "lengths")]
    arrays = npz.read(path, names)
    splits, first_flight = {}, 0
    for split in SPLITS:
        splits[split] = _windows(path, split, arrays, first_flight)
        first_flight += len(arrays[f"{split}_lengths"])
    return windows.standardised(splits, "u")


def _windows(path: Path, split: str, arrays: dict, first_flight: int) -> dict[str, np.ndarray]:
    position = npz.expect(path, f"{split}_position", arrays[f"{split}_position"], (None, 3))
    imu = npz.expect(path, f"{split}_imu", arrays[f"{split}_imu"], (len(position), 12))
    lengths = npz.expect(path, f"{split}_lengths", arrays[f"{split}_lengths"], (None,))
    if lengths.sum() != len(position):
        raise ValueError(
            f"{path}: array '{split}_lengths' sums to {lengths.sum()}, but '{split}_position' has "
            f"{len(position)} rows"
        )
    ends = np.cumsum(lengths)[:-1]
    x = [windows.windows(flight, NUM_TIMESTEPS) for flight in np.split(position, ends)]
    u = [windows.windows(flight, NUM_TIMESTEPS) for flight in np.split(imu, ends)]
    flights = first_flight + np.repeat(np.arange(len(x)), [len(flight) for flight in x])
    if not len(flights):
        raise ValueError(f"{path}: no flight of '{split}' has {NUM_TIMESTEPS} steps")
    return {
        "x": windows.from_origin(np.concatenate(x)).astype(np.float32),
        "u": np.concatenate(u),
        "lengths": np.full(len(flights), NUM_TIMESTEPS, np.int32),
        "y": flights.astype(np.int32),
    }


SOURCE = source.Source(
    version="1.0.0",
    description="Windows of real quadrotor flights at 10 Hz: positions and inertial readings.",
    variants={"": source.Variant("real")},
    read=read,
)
