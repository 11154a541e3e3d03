"""The builders of traffic, metr_la, quadrotor and blackbird, on small files of their layouts."""

import csv
import datetime

import numpy as np
import pytest

from rlvm.data import blackbird, dataset, metr_la, quadrotor, row_mnist, source, traffic, windows


def files(folder, name="set", seed=0):
    return source.Files(name, folder / "data", folder, seed)


def write_csv(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


# windows


def test_windows_cut_and_start_at_the_origin():
    recording = np.arange(14.0).reshape(7, 2)
    cut = windows.windows(recording, 3)
    np.testing.assert_array_equal(cut, recording[:6].reshape(2, 3, 2))
    np.testing.assert_array_equal(windows.from_origin(cut)[1], [[0, 0], [2, 2], [4, 4]])


def test_groups_are_split_once_and_by_the_seed():
    groups = windows.split_groups(10, 0)
    assert [len(part) for part in groups.values()] == [6, 2, 2]
    np.testing.assert_array_equal(np.sort(np.concatenate([*groups.values()])), np.arange(10))
    other = windows.split_groups(10, 1)
    assert any(not np.array_equal(groups[name], other[name]) for name in groups)


# traffic


def test_half_hours_start_at_6_30_and_skip_what_is_missing():
    day = np.arange(288.0)
    day[78:83] = np.nan  # 6:30 to 6:55 but for one value
    day[84:90] = np.nan  # 7:00 to 7:30
    means = traffic.half_hours(day[None])[0]
    assert means.shape == (26,)
    assert means[0] == 83.0
    assert np.isnan(means[1])
    np.testing.assert_allclose(means[2:], 78 + 6 * np.arange(2, 26) + 2.5)
    assert 78 + 6 * 25 == 19 * 12  # the last one starts at 19:00


def seattle(folder, days, location=42, change=lambda rows: rows):
    """A speed matrix of these days whose detector 42 shows hour + day / 1000, and others 0."""
    rows = []
    for day in days:
        for step in range(288):
            time = datetime.datetime.fromisoformat(day) + datetime.timedelta(minutes=5 * step)
            speeds = [0.0] * 44
            speeds[location] = time.hour + time.timetuple().tm_yday / 1000
            rows.append([str(time), *speeds])
    header = ["stamp", *[f"d005es{i:05d}" for i in range(44)]]
    write_csv(folder / traffic.CSV_FILE, header, change(rows))


def test_traffic_splits_by_month(tmp_path, monkeypatch):
    monkeypatch.setattr(traffic, "check_times", lambda path, times: None)  # the days have gaps
    seattle(tmp_path, ["2015-01-03", "2015-06-30", "2015-07-01", "2015-09-30", "2015-10-01"])
    splits = traffic.read("", files(tmp_path))
    assert {name: part["y"].tolist() for name, part in splits.items()} == {
        "train": [3, 181],
        "valid": [182, 273],
        "test": [274],
    }
    x = splits["test"]["x"]
    assert x.shape == (1, 26, 1)
    hours = 6.5 + 0.5 * np.arange(26)
    np.testing.assert_allclose(x[0, :, 0], np.floor(hours) + 0.274, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], "575 rows are not days of 288 rows"),
        (lambda rows: rows[288:] + rows[:288], "expected 5 minutes later"),
        (lambda rows: [[r[0], *["a"] * 44] for r in rows], "line 2 is no row"),
        (lambda rows: [r[:20] for r in rows], "line 2 is no row"),
        (lambda rows: rows, "no day of the months 7 to 9 for 'valid'"),
    ],
)
def test_traffic_errors(tmp_path, change, message):
    seattle(tmp_path, ["2015-01-03", "2015-01-04"], change=change)
    with pytest.raises(ValueError, match=message):
        traffic.read("", files(tmp_path))


def test_traffic_without_its_file_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"needs speed_matrix_2015\.csv: .*pickle written as CSV"):
        traffic.read("", files(tmp_path))


# metr_la


def test_metr_la_keeps_a_detector_in_one_split(tmp_path):
    speed = np.full((2 * 288, 10), 30.0, np.float32) + np.arange(10)
    speed[288 + 78 : 288 + 84, 3] = 0.0  # detector 3 is missing on day 2 from 6:30 to 7:00
    np.savez(tmp_path / metr_la.NPZ_FILE, speed_mph=speed)
    splits = metr_la.read("", files(tmp_path))
    groups = windows.split_groups(10, 0)
    for name, part in splits.items():
        np.testing.assert_array_equal(part["y"], np.repeat(groups[name], 2))
        seen = np.where(np.isnan(part["x"]), part["y"][:, None, None] + 30, part["x"])
        np.testing.assert_array_equal(
            seen, np.broadcast_to(part["y"][:, None, None] + 30, seen.shape)
        )
    missing = [
        (detector, *where)
        for part in splits.values()
        for detector, x in zip(part["y"], part["x"], strict=True)
        for where in np.argwhere(np.isnan(x))
    ]
    assert missing == [(3, 0, 0)]


@pytest.mark.realdata
def test_metr_la_real(manual_dir, tmp_path):
    data = dataset.load("metr_la", data_dir=tmp_path, manual_dir=manual_dir)
    assert data.kind == "real"
    assert {name: part["x"].shape for name, part in data.splits.items()} == {
        "train": (868, 26, 1),
        "valid": (294, 26, 1),
        "test": (287, 26, 1),
    }


# quadrotor


def test_quadrotor_windows_stay_inside_a_flight(tmp_path):
    rng = np.random.default_rng(0)
    arrays, lengths = {}, {"train": [60, 20], "valid": [25], "test": [49, 26]}
    for split, sizes in lengths.items():
        total = sum(sizes)
        arrays[f"{split}_position"] = rng.normal(size=(total, 3)).astype(np.float32)
        arrays[f"{split}_imu"] = rng.normal(3.0, 2.0, size=(total, 12)).astype(np.float32)
        arrays[f"{split}_lengths"] = np.array(sizes, np.int32)
    np.savez(tmp_path / quadrotor.NPZ_FILE, **arrays)
    splits = quadrotor.read("", files(tmp_path))
    assert {name: part["y"].tolist() for name, part in splits.items()} == {
        "train": [0, 0],
        "valid": [2],
        "test": [3, 4],
    }
    second = arrays["test_position"][49:74]
    np.testing.assert_allclose(splits["test"]["x"][1], second - second[0], atol=1e-6)
    train = splits["train"]["u"].reshape(-1, 12)
    np.testing.assert_allclose(train.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(train.std(axis=0), 1.0, rtol=1e-5)
    raw = arrays["train_imu"][:50].astype(np.float64)
    expected = (arrays["valid_imu"][0] - raw.mean(axis=0)) / raw.std(axis=0)
    np.testing.assert_allclose(splits["valid"]["u"][0, 0], expected, rtol=1e-4)


@pytest.mark.realdata
def test_quadrotor_real(manual_dir, tmp_path):
    data = dataset.load("quadrotor", data_dir=tmp_path, manual_dir=manual_dir)
    assert data.splits["train"]["x"].shape[1:] == (25, 3)
    assert data.splits["train"]["u"].shape[1:] == (25, 12)
    flights = [set(part["y"]) for part in data.splits.values()]
    assert not flights[0] & flights[1] and not flights[1] & flights[2]


# blackbird

STATE = ["rosbagTimestamp", "header", "seq", "pose", "position", "x", "y", "z"]
STATE += ["orientation", "x", "y", "z", "w"]
IMU = ["rosbagTimestamp", "orientation", "x", "y", "z", "w"]
IMU += ["angular_velocity", "x", "y", "z", "linear_acceleration", "x", "y", "z"]


def blackbird_flight(folder, name, seconds=4.0, gap=(9.0, 9.0), offset=0.0):
    """Position (t, 2 t, offset), acceleration (1, 2, 3) t, rotors 1000 + t; nothing in the gap."""
    root = folder / blackbird.ROOT / name / "yawForward" / "maxSpeed1p0" / "csv"
    start = 1_500_000_000_000_000_000

    def clock(rate):
        times = np.arange(0, seconds, 1 / rate)
        times = times[(times < gap[0]) | (times >= gap[1])]
        return [(start + round(t * 1e9), t) for t in times]

    def path(part):
        return root / f"blackbird_slash_{part}.csv"

    state = [
        [c, "", i, "", "", t, 2 * t, offset, "", 0, 0, 0, 1] for i, (c, t) in enumerate(clock(50))
    ]
    write_csv(path("state"), STATE, state)
    imu = [[c, "", 0, 0, 0, 1, "", 7, 8, 9, "", t, 2 * t, 3 * t] for c, t in clock(100)]
    write_csv(path("imu"), IMU, imu)
    rotor = [[c, "", 5, f"[{1000 + t}, 2.0, 3.0, 4.0]", ""] for c, t in clock(40)]
    write_csv(path("rotor_rpm"), ["rosbagTimestamp", "header", "seq", "nsecs", "rpm"], rotor)
    pwm = [[c, "", "[1100, 1200, 1300, 1400]"] for c, _ in clock(40)]
    write_csv(path("pwm"), ["rosbagTimestamp", "header", "pwm"], pwm)
    return root


def test_blackbird_flight_is_resampled_at_10_hz(tmp_path):
    folder = blackbird_flight(tmp_path, "oval")
    x, u = blackbird.flight(folder)
    times = 0.1 * np.arange(len(x))
    np.testing.assert_allclose(x, np.stack([times, 2 * times, 0 * times], axis=-1), atol=1e-6)
    centre = times + 0.045  # readings at 0, 0.01, ..., 0.09 of a step
    np.testing.assert_allclose(u[:, :3], centre[:, None] * [1, 2, 3], atol=1e-6)
    np.testing.assert_allclose(u[:, 3:6], np.broadcast_to([7, 8, 9], (len(u), 3)))
    np.testing.assert_allclose(u[:, 6], 1000 + times + 0.0375, atol=1e-6)
    np.testing.assert_allclose(u[0, 7:], [2, 3, 4, 1100, 1200, 1300, 1400])


def test_blackbird_windows_avoid_gaps_and_flights_stay_together(tmp_path, monkeypatch):
    monkeypatch.setattr(blackbird, "NUM_WINDOWS", 30)
    for number, name in enumerate(["clover", "dice", "egg", "oval", "star"]):
        blackbird_flight(tmp_path, name, seconds=6.0, gap=(3.0, 3.3), offset=number)
    x, u = blackbird.flight(tmp_path / blackbird.ROOT / "oval/yawForward/maxSpeed1p0/csv")
    np.testing.assert_array_equal(blackbird.whole_windows(x, u), [0, 1, 2, 3, 4, 5, 33, 34, 35])
    splits = blackbird.read("", files(tmp_path))
    assert [len(set(part["y"])) for part in splits.values()] == [3, 1, 1]
    for part in splits.values():
        assert (part["x"].shape, part["u"].shape) == ((30, 25, 3), (30, 25, 14))
        steps = 0.1 * np.arange(25)
        line = np.stack([steps, 2 * steps, 0 * steps], axis=-1)
        np.testing.assert_allclose(part["x"], np.broadcast_to(line, (30, 25, 3)), atol=1e-5)
    again = blackbird.read("", files(tmp_path))
    np.testing.assert_array_equal(again["test"]["u"], splits["test"]["u"])


@pytest.mark.parametrize(
    ("part", "text", "message"),
    [
        ("state", "rosbagTimestamp,x,y,z\n1,2,3,4\n", "no columns position, x, y, z"),
        ("imu", None, "No file"),
        ("pwm", "rosbagTimestamp,pwm\n", "no rows"),
        ("rotor_rpm", 'rosbagTimestamp,rpm\n1,"[1, 2, 3]"\n', r"hold \(3,\) values, expected 4"),
        ("pwm", "rosbagTimestamp,pwm\n1,2\n", "not a clock in ns and 4 numbers"),
    ],
)
def test_blackbird_errors(tmp_path, part, text, message):
    path = blackbird_flight(tmp_path, "oval") / f"blackbird_slash_{part}.csv"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(ValueError, match=message):
        blackbird.flight(path.parent)


def test_blackbird_without_its_folder(tmp_path):
    with pytest.raises(ValueError, match=r"needs BlackbirdDatasetData/.* \(0 flights\)"):
        blackbird.read("", files(tmp_path))


# row_mnist


def test_rows_run_from_top_to_bottom():
    image = np.arange(784, dtype=np.int32).reshape(1, 784)
    rows = row_mnist.as_rows({"x": image, "y": np.array([3])})
    assert rows["x"].shape == (1, 28, 28)
    np.testing.assert_array_equal(rows["x"][0, 1], np.arange(28, 56))
    assert rows["lengths"].tolist() == [28]
    assert rows["y"].tolist() == [3]
