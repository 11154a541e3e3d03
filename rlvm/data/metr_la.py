"""One week of METR-LA: 207 detectors, 26 half hours a day as in `traffic`, in mph.

A stand-in for the Seattle loop. Read from manual_dir: `metr_la_week.npz` with `speed_mph`
[2016, 207], every 5 minutes from a midnight. Each detector's days are in one split (`y` is the
detector), drawn from the seed. A speed of 0 means missing there, and NaN here.
"""

import numpy as np

from rlvm.data import npz, source, traffic, windows

NPZ_FILE = "metr_la_week.npz"
ARRAY = "speed_mph"


def read(variant: str, files: source.Files) -> source.Splits:
    """One sequence per detector and day."""
    del variant
    path = files.require(NPZ_FILE)
    speeds = npz.expect(path, ARRAY, npz.read(path, [ARRAY])[ARRAY], (None, None))
    if len(speeds) % traffic.STEPS_PER_DAY:
        raise ValueError(
            f"{path}: array '{ARRAY}' has {len(speeds)} rows, expected days of "
            f"{traffic.STEPS_PER_DAY} rows"
        )
    speeds = np.where(speeds > 0, speeds, np.nan).astype(np.float64)
    days = traffic.half_hours(speeds.reshape(-1, traffic.STEPS_PER_DAY, speeds.shape[1]))
    days = days.transpose(2, 0, 1)  # [detectors, days, 26]
    return {
        name: traffic.sequences(days[detectors].reshape(-1, traffic.NUM_WINDOWS))
        | {"y": np.repeat(detectors, days.shape[1]).astype(np.int32)}
        for name, detectors in windows.split_groups(len(days), files.seed).items()
    }


SOURCE = source.Source(
    version="1.0.0",
    description="Half-hour speeds of 207 Los Angeles loop detectors in one week (METR-LA).",
    variants={"": source.Variant("real", seeded=True)},
    read=read,
)
