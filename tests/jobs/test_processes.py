"""Many processes are one run: the same parameters, one record, checkpoints any number can read."""

import collections
import functools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import configs_found
import jax
import numpy as np
import pytest
import runs
import synthetic

from rlvm.jobs import config as configs
from rlvm.jobs import experiment as experiments
from rlvm.jobs import processes, workdir
from rlvm.jobs import train as job
from rlvm.jobs.evaluate import Request, evaluate
from rlvm.jobs.train import train
from rlvm.training import metrics, parallel
from rlvm.training.checkpoint import Checkpoints

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, False),
        ({"JAX_COORDINATOR_ADDRESS": "host:1234"}, True),
        ({"SLURM_STEP_NODELIST": "n[1-2]", "SLURM_NTASKS": "2"}, True),
        ({"SLURM_STEP_NODELIST": "n1", "SLURM_NTASKS": "1"}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"}, False),  # in the batch script, not in a step
        ({"TPU_WORKER_HOSTNAMES": "t1v-0,t1v-1"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
    ],
)
def test_the_environment_tells_of_others(environment, told, monkeypatch):
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda **given: calls.append(given))
    processes.join(None, environment)
    assert len(calls) == told
    processes.join(True, environment)
    processes.join(False, environment)
    assert len(calls) == told + 1


def test_what_the_environment_says_outright_is_passed_on():
    environment = {
        "JAX_COORDINATOR_ADDRESS": "host:1234",
        "JAX_NUM_PROCESSES": "4",
        "JAX_PROCESS_ID": "3",
        "HOME": "/root",
    }
    assert processes.arguments(environment) == {
        "coordinator_address": "host:1234",
        "num_processes": 4,
        "process_id": 3,
    }
    indexed = {"JAX_COORDINATOR_ADDRESS": "host:1234", "JOB_COMPLETION_INDEX": "2"}
    assert processes.arguments(indexed)["process_id"] == 2
    assert processes.arguments({**indexed, "JAX_PROCESS_ID": "1"})["process_id"] == 1


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_other_modes_are_for_one_process(mode, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match=f"parallel={mode} is for one process; 2 are running"):
        parallel.check_devices(mode, num_devices=2, batch_size=8, fsdp=1)


def quick_environment(**more):
    """This process's environment with devices of its own for each child; compiled as quickly."""
    quick = [flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag]
    return {**os.environ, "XLA_FLAGS": " ".join(quick), **more}


def pod(config, path, data_dir, file="tests/small_config.py"):
    """launch/local_pod.sh with two processes of two devices each, on `config` of a file."""
    base = configs.flat(configs.load(str(ROOT / file)))
    changed = {k: v for k, v in configs.flat(config).items() if v != base[k]}
    flags = [f"--config.{key}={value}" for key, value in changed.items()]
    command = ["bash", str(ROOT / "launch/local_pod.sh"), "2", f"--config={ROOT / file}", *flags]
    command += [f"--workdir={path}", f"--data_dir={data_dir}"]
    started = quick_environment(PYTHON=sys.executable)
    return subprocess.Popen(command, env=started, stderr=subprocess.PIPE, text=True)


def finish(process):
    _, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors
    return errors


def restored(path, config, devices):
    """The newest state of a workdir, on so many devices."""
    example = workdir.read_data(path)["example"]
    mode = parallel.Parallel("sharded", lambda *_: None, Batches(), 0, jax.devices()[:devices])
    checkpoints = Checkpoints(path)
    abstract = experiments.build(config, example).abstract_state()
    state, name = checkpoints.restore("latest", abstract, mode.replicated)
    checkpoints.close()
    assert all(len(leaf.sharding.device_set) == devices for leaf in jax.tree.leaves(state))
    return jax.tree.map(np.asarray, state), name


class Batches:
    batch_size = 8


RATES = {"seconds", "train/seconds_per_step", "train/examples_per_second"}


@pytest.mark.slow
def test_two_processes_are_one_run(small, tmp_path, data_dir):
    """Two processes to step 8, two more with a split state to step 12; one process for all."""
    changes = {"parallel": "sharded", "optimizer.schedule": "constant"}
    changes["model.deterministic_units"] = (8,)  # four devices take two units each
    alone = jax.tree.map(np.asarray, train(small(**changes), tmp_path / "one", data_dir))
    together = tmp_path / "two"
    finish(pod(small(**changes, **{"train.num_steps": 8}), together, data_dir))
    config = small(**changes, **{"sharding.fsdp": 4})  # over both processes
    errors = finish(pod(config, together, data_dir))
    assert errors.count("Resuming") == 2
    written = (together / "checkpoints/latest/12").rglob("ocdbt.process_*")
    assert {path.name for path in written} == {"ocdbt.process_0", "ocdbt.process_1"}
    for devices in (1, 4):
        state, name = restored(together, config, devices)
        assert name.endswith(":12")
        runs.assert_close(state.params, alone.params, rtol=1e-5, atol=1e-5)
    lines, expected = metrics.read(together), metrics.read(tmp_path / "one")
    assert [line["step"] for line in lines] == [line["step"] for line in expected]
    assert collections.Counter(map(str, lines)).most_common(1)[0][1] == 1
    for line, other in zip(lines, expected, strict=True):
        assert line.keys() - RATES == other.keys() - RATES
        for key in line.keys() - RATES:
            np.testing.assert_allclose(line[key], other[key], rtol=1e-4, atol=1e-5)
    assert len(list((together / "tensorboard").iterdir())) == 2  # one for each start


def sequences(name):
    """Made sequences for a config's model: [N, T, D], ragged."""
    draw = np.random.default_rng(0)
    arrays = {}
    for split, rows in (("train", 24), ("valid", 4)):
        made = synthetic.own_arrays(draw, rows, configs_found.tiny(name))
        arrays |= {split: made["x"], f"{split}_lengths": made["lengths"]}
    return arrays


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ssm/arrays", "ladder/polyphonic_small"])
def test_two_processes_train_sequences_as_one_does(name, tmp_path, data_dir):
    np.savez(tmp_path / "own.npz", **sequences(name))
    file = f"tests/tiny_config.py:{name}"
    changes = {"data.path": str(tmp_path / "own.npz"), "parallel": "sharded"}
    config = configs.load(str(ROOT / file), **changes)
    alone = jax.tree.map(np.asarray, train(config, tmp_path / "one", data_dir))
    finish(pod(config, tmp_path / "two", data_dir, file))
    fitted = workdir.read_config(tmp_path / "two")
    for devices in (1, 4):
        state, found = restored(tmp_path / "two", fitted, devices)
        assert found.endswith(":4")
        runs.assert_close(state.params, alone.params, rtol=1e-5, atol=1e-5)


def workers(process):
    """The processes that a shell has started."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(child) for child in children.split()]


@pytest.mark.slow
def test_a_worker_killed_mid_step_costs_the_steps_since_the_last_save(small, tmp_path, data_dir):
    changes = {"parallel": "sharded", "train.eval_every": 10**5, "train.log_every": 10}
    changes |= {"train.checkpoint_every": 10, "optimizer.schedule": "constant"}
    process = pod(small(**changes, **{"train.num_steps": 10**6}), tmp_path, data_dir)
    deadline = time.monotonic() + 200
    while not saved(tmp_path):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(workers(process)[1], signal.SIGKILL)
    process.communicate(timeout=100)
    assert process.returncode != 0  # the other process does not wait for ever
    last = saved(tmp_path)[-1]
    logged = [line["step"] for line in metrics.read(tmp_path)]
    assert logged[-1] <= last + 30  # the save in flight, the dispatch in flight
    errors = finish(pod(small(**changes, **{"train.num_steps": last + 10}), tmp_path, data_dir))
    assert errors.count(f"from checkpoint latest:{last}.") == 2
    logged = [line["step"] for line in metrics.read(tmp_path) if "train/loss" in line]
    assert logged == list(range(10, last + 11, 10))


def saved(path):
    folder = pathlib.Path(path) / "checkpoints" / "latest"
    return sorted(int(entry.name) for entry in folder.glob("*") if entry.name.isdigit())


@pytest.mark.slow
def test_a_notice_of_preemption_makes_all_leave_at_one_step(small, tmp_path, data_dir):
    changes = {"train.num_steps": 10**6, "train.eval_every": 10**5, "train.checkpoint_every": 10**5}
    process = pod(small(parallel="sharded", **changes), tmp_path / "W", data_dir)
    deadline = time.monotonic() + 200
    while len(metrics.read(tmp_path / "W")) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    errors = finish(process)
    left = [line.split()[4] for line in errors.splitlines() if "Left at step" in line]
    assert len(left) == 2 and len(set(left)) == 1
    checkpoints = Checkpoints(tmp_path / "W")
    assert str(checkpoints.latest_step()) == left[0]
    checkpoints.close()


def two(*arguments):
    """The same command in two processes of two devices each; what each has printed."""
    with socket.socket() as free:
        free.bind(("", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    both = quick_environment(JAX_COORDINATOR_ADDRESS=address, JAX_NUM_PROCESSES="2")
    started = [
        subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            env={**both, "JAX_NUM_CPU_DEVICES": "2", "JAX_PROCESS_ID": str(process)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(2)
    ]
    outputs = [process.communicate(timeout=500) for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    return [out for out, _ in outputs]


STREAMED = """
import functools, sys
from rlvm.jobs import config, processes, train

processes.join()
train.training_source = functools.partial(train.training_source, limit=1)
train.train(config.from_json(sys.argv[1]), *sys.argv[2:])
"""


@pytest.mark.slow
def test_two_processes_stream_what_one_does(small, tmp_path, data_dir, monkeypatch):
    """A split that no device holds: each process reads its rows of every batch."""
    config = small(parallel="sharded")
    two("-c", STREAMED, configs.to_json(config), tmp_path / "two", data_dir)
    monkeypatch.setattr(job, "training_source", functools.partial(job.training_source, limit=1))
    alone = jax.tree.map(np.asarray, train(config, tmp_path / "one", data_dir))
    state, name = restored(tmp_path / "two", config, 1)
    assert name.endswith(":12")
    runs.assert_close(state.params, alone.params, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_two_processes_share_evaluations(trained, data_dir, tmp_path):
    """Three evaluations on two processes: each once, and the numbers of one process."""
    for name in "abc":
        shutil.copytree(trained, tmp_path / "runs" / name)
    folders = [f"--workdir={tmp_path}/runs/*", f"--output={tmp_path}/D", f"--data_dir={data_dir}"]
    printed = two("-m", "rlvm.launch.evaluate", *folders, "--repeats=2")
    found = [[json.loads(line) for line in text.splitlines()] for text in printed]
    assert [len(results) for results in found] == [2, 1]
    alone, _ = evaluate(trained, Request(repeats=2), data_dir)
    for result in [*found[0], *found[1]]:
        assert result["bound_nats"] == pytest.approx(alone["bound_nats"], rel=1e-5)
    for ending in ("json", "npz"):
        assert len(list((tmp_path / "D").glob(f"*.{ending}"))) == 3
