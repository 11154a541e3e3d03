"""What a run shows of itself: a bar, its speed, a profiler's trace, scalars and pictures."""

import io
import sys
import time

import configs_found
import jax
import numpy as np
import pytest
import synthetic

from rlvm.jobs import experiment as experiments
from rlvm.jobs import pictures
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
    assert found["seconds_per_step"] == pytest.approx(0.05, rel=0.5)
    assert found["examples_per_second"] == pytest.approx(8 / found["seconds_per_step"])
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


def summaries(workdir):
    """The values among a workdir's TensorBoard events, with their steps."""
    from tensorboardX.proto.event_pb2 import Event

    for path in (workdir / "tensorboard").glob("events*"):
        content = path.read_bytes()
        while content:  # length (8 bytes), its checksum (4), the event, its checksum (4)
            size = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + size])
            yield from ((event.step, value) for value in event.summary.value)
            content = content[16 + size :]


def images(workdir):
    """The images among a workdir's events, by step."""
    return {step: value.image for step, value in summaries(workdir) if value.HasField("image")}


def test_every_number_of_the_log_is_a_scalar_for_tensorboard(trained):
    lines = [line for line in metrics.read(trained)]
    logged = {
        (line["step"], name): value
        for line in lines
        for name, value in line.items()
        if name not in ("step", "seconds")
    }
    scalars = {(step, value.tag): value.simple_value for step, value in summaries(trained)}
    assert {name for _, name in logged} >= {"train/loss", "train/rate", "valid/rate"}
    assert scalars.keys() == logged.keys()
    for key, value in logged.items():
        np.testing.assert_allclose(scalars[key], value, rtol=1e-6)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_drawn_on_a_terminal_alone(small, tmp_path, data_dir, monkeypatch, terminal):
    screen = io.StringIO()
    screen.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", screen)
    train(small(**{"train.num_steps": 2}), tmp_path, data_dir)
    assert ("2/2" in screen.getvalue()) == terminal
    assert ("step/s" in screen.getvalue()) == terminal


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("ladder/occluded_small", "frames"),
        ("ladder/polyphonic_small", "frames"),
        ("ladder/textured_small", "groups"),
        ("darn/connect4", "samples"),
    ],
)
def test_a_model_shows_what_it_does(tmp_path, name, shown):
    config = configs_found.tiny(name)
    data = synthetic.dataset(config, 8)
    if shown == "groups":
        data.splits["valid"]["segments"] = data.splits["valid"]["x"] > 99
    experiment = experiments.build(config, experiments.example_batch(data))
    log = metrics.Log(tmp_path, 0)
    pictures.log_picture(log, experiment, experiment.initial_state(), data)
    log.close()
    ((_, value),) = summaries(tmp_path)
    assert value.tag == shown and value.image.encoded_image_string.startswith(b"\x89PNG")


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
    timed = [line for line in lines if "train/seconds_per_step" in line]
    assert [line["step"] for line in timed] == [4, 6, 8, 12]
    for line in timed:
        each = line["train/seconds_per_step"]
        np.testing.assert_allclose(line["train/examples_per_second"], 8 / each)
