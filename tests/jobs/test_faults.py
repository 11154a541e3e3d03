"""What goes wrong outside: a full disk, and a second start that should compile nothing."""

import os
import pathlib
import resource
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import runs

from rlvm.jobs import cache, workdir
from rlvm.jobs import experiment as experiments
from rlvm.jobs.train import train
from rlvm.training import metrics
from rlvm.training.checkpoint import Checkpoints

ROOT = pathlib.Path(__file__).parents[2]
FILE_LIMIT = 40_000  # bytes: the logs fit, a checkpoint of LARGE does not
LARGE = {"model.deterministic_units": (1000,), "optimizer.schedule": "constant"}

CHILD = """
import json, resource, sys
from rlvm.jobs import config
from rlvm.jobs.train import train
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
train(config.from_json(sys.argv[2]), sys.argv[3], sys.argv[4])
"""


def newest(path, config):
    experiment = experiments.build(config, workdir.read_data(path)["example"])
    checkpoints = Checkpoints(path)
    state, name = checkpoints.restore(
        "latest", experiment.abstract_state(), jax.sharding.SingleDeviceSharding(jax.devices()[0])
    )
    checkpoints.close()
    return jax.tree.map(np.asarray, state), name


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_good_checkpoint(small, tmp_path, data_dir):
    """The kernel refuses to write a file beyond a limit, as a full disk would."""
    from rlvm.jobs import config as configs

    train(small(**LARGE, **{"train.num_steps": 4}), tmp_path, data_dir)
    config = small(**LARGE)
    before, name = newest(tmp_path, config)
    sizes = [path.stat().st_size for path in (tmp_path / "checkpoints").rglob("*/d/*")]
    assert name.endswith(":4") and max(sizes) > FILE_LIMIT
    command = [sys.executable, "-c", CHILD, str(FILE_LIMIT), configs.to_json(config)]
    command += [str(tmp_path), str(data_dir)]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert finished.returncode != 0 and "File too large" in finished.stderr
    after, name = newest(tmp_path, config)
    assert name.endswith(":4")
    runs.assert_equal(after, before)
    done = train(config, tmp_path, data_dir)  # with room again, it goes on from there
    assert int(done.step) == 12 and newest(tmp_path, config)[1].endswith(":12")
    steps = [line["step"] for line in metrics.read(tmp_path) if "train/loss" in line]
    assert steps == [2, 4, 6, 8, 10, 12]


KILLED = """
import os, signal, sys
from rlvm.jobs import config
from rlvm.jobs.train import train

def kill(event, arguments):
    if event == "os.rename" and os.fspath(arguments[1]).endswith("checkpoints/latest/8"):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
train(config.from_json(sys.argv[1]), sys.argv[2], sys.argv[3])
"""


@pytest.mark.slow
def test_a_process_killed_during_a_checkpoint_goes_on_from_the_one_before(
    small, tmp_path, data_dir
):
    """Killed when the files of step 8 are written but do not have their name yet."""
    from rlvm.jobs import config as configs

    config = small(**{"train.eval_every": 12})
    command = [sys.executable, "-c", KILLED, configs.to_json(config), str(tmp_path / "W")]
    finished = subprocess.run([*command, str(data_dir)], capture_output=True, text=True, cwd=ROOT)
    assert finished.returncode == -signal.SIGKILL, finished.stderr
    left = [path.name for path in (tmp_path / "W/checkpoints/latest").iterdir()]
    assert any(name.startswith("8") for name in left) and "8" not in left
    assert newest(tmp_path / "W", config)[1] == "latest:4"
    train(config, tmp_path / "W", data_dir)
    train(config, tmp_path / "whole", data_dir)
    runs.assert_equal(newest(tmp_path / "W", config)[0], newest(tmp_path / "whole", config)[0])
    steps = [line["step"] for line in metrics.read(tmp_path / "W") if "train/loss" in line]
    assert steps == [2, 4, 6, 8, 10, 12]


@pytest.mark.slow
def test_a_second_start_compiles_no_step(small, tmp_path, data_dir, monkeypatch):
    """Hits and misses of the persistent cache, as JAX counts them."""
    monkeypatch.setattr(cache, "LEAST_SECONDS", 0.0)  # else a busy machine decides what is kept
    events = []

    def count(event, **_):
        if event.startswith("/jax/compilation_cache/cache_"):
            events.append(event.rpartition("_")[2])

    jax.monitoring.register_event_listener(count)
    try:
        for folder in ("first", "second"):
            jax.clear_caches()
            events.clear()
            train(small(**{"model.deterministic_units": (6,)}), tmp_path / folder, data_dir)
            if folder == "first":
                assert events.count("misses") > 0
    finally:
        jax.monitoring.clear_event_listeners()
    assert events.count("hits") > 0 and events.count("misses") == 0


def test_help_starts_in_three_seconds_of_one_core():
    """CPU seconds, which do not depend on what else the machine is doing."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, str(ROOT / "launch/train.py"), "--help"]
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "--[no]distributed" in finished.stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3.0
