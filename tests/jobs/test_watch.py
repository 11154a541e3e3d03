"""What a run shows of itself: its speed, a profiler's trace, pictures of its samples."""

import time

import jax
import numpy as np
import pytest

from rlvm.jobs.train import train
from rlvm.jobs.watch import Watch
from rlvm.training import metrics


def test_rates_leave_out_the_dispatch_that_compiles():
    watch = Watch()
    with watch.dispatch(1000):
        pass
    assert watch.rates(8) == {}
    for count in (1, 2):
        with watch.dispatch(count):
            time.sleep(0.05 * count)
    found = watch.rates(8)
    assert found["steps_per_second"] == pytest.approx(20, rel=0.3)
    assert found["examples_per_second"] == pytest.approx(8 * found["steps_per_second"])
    assert watch.rates(8) == {}


def test_one_dispatch_is_traced(monkeypatch, tmp_path):
    traced = []

    class Trace:
        def __init__(self, folder):
            self.folder = folder

        def __enter__(self):
            traced.append(self.folder)

        def __exit__(self, *_):
            traced.append("done")

    monkeypatch.setattr(jax.profiler, "trace", Trace)
    watch, seen = Watch(tmp_path), []
    for _ in range(4):
        with watch.dispatch(1):
            seen.append(len(traced))
    assert seen == [0, 1, 2, 2] and traced == [str(tmp_path), "done"]


def images(workdir):
    """The images among a workdir's events, by step."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for path in (workdir / "tensorboard").glob("events*"):
        content = path.read_bytes()
        while content:  # length (8 bytes), its checksum (4), the event, its checksum (4)
            size = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + size])
            for value in event.summary.value:
                if value.HasField("image"):
                    found[event.step] = value.image
            content = content[16 + size :]
    return found


@pytest.mark.slow
def test_a_run_that_ends_leaves_its_speed_a_trace_and_a_picture(small, tmp_path, data_dir):
    train(small(**{"train.num_steps": 8}), tmp_path, data_dir, profile=True)
    assert not images(tmp_path)
    traces = list((tmp_path / "tensorboard" / "plugins" / "profile").rglob("*.xplane.pb"))
    assert len(traces) == 1 and traces[0].stat().st_size > 1000
    for _ in range(2):  # the second has nothing left to do, and draws nothing
        train(small(), tmp_path, data_dir, draw=True)
    (picture,) = images(tmp_path).values()
    assert list(images(tmp_path)) == [12]
    assert picture.height > 50 and picture.encoded_image_string.startswith(b"\x89PNG")
    lines = [line for line in metrics.read(tmp_path) if "train/loss" in line]
    timed = [line for line in lines if "train/steps_per_second" in line]
    assert [line["step"] for line in timed] == [4, 6, 8, 12]
    for line in timed:
        rate = line["train/steps_per_second"]
        np.testing.assert_allclose(line["train/examples_per_second"], 8 * rate)
