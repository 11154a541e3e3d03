"""The commands, as a user types them: what they print, write and survive."""

import csv
import json
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from commands import ROOT, SMALL, assert_one_line, command, train_arguments

from rlvm.training import metrics


@pytest.mark.parametrize("name", ["train", "evaluate", "sample", "prepare_data"])
def test_help(environment, name):
    """As a module of the installed package, which is what an installed wheel has."""
    done = command(environment, "-m", f"rlvm.launch.{name}", "--help")
    assert "--" in done.stdout and "Traceback" not in done.stderr and done.returncode in (0, 1)


@pytest.mark.slow
def test_the_last_line_of_an_evaluation_is_its_record(environment, workdir, tmp_path):
    done = command(
        environment,
        "launch/evaluate.py",
        f"--workdir={workdir}",
        "--estimator=importance",
        "--num_samples=20",
        "--repeats=3",
        f"--output={tmp_path / 'F.json'}",
        f"--per_example={tmp_path / 'F.npz'}",
    )
    assert done.returncode == 0, done.stderr
    tenth, line = done.stdout.splitlines()
    result = metrics.validate(json.loads(line))
    assert json.loads((tmp_path / "F.json").read_text()) == result
    assert tenth.startswith("NLL with 2 samples: ")
    nll = np.load(tmp_path / "F.npz")["nll"]
    assert nll.shape == (10,) and nll.mean() == pytest.approx(result["nll_nats"])
    assert result["nll_nats_mc95"][0] < result["nll_nats"] < result["nll_nats_mc95"][1]


@pytest.mark.slow
def test_many_evaluations_and_their_differences_to_one(environment, workdir, tmp_path):
    for name in ("base", "other"):
        shutil.copytree(workdir, tmp_path / "runs" / name)
    runs = ["launch/evaluate.py", f"--workdir={tmp_path}/runs/*", f"--output={tmp_path}/D"]
    done = command(environment, *runs, "--checkpoint=best,latest", "--repeats=1")
    assert done.returncode == 0, done.stderr
    found = [metrics.validate(json.loads(line)) for line in done.stdout.splitlines()]
    assert len(found) == 4 and {result["checkpoint"][:4] for result in found} == {"best", "late"}
    results = ["launch/report.py", f"--results={tmp_path}/D", f"--csv={tmp_path}/all.csv"]
    best = next(path.stem for path in (tmp_path / "D").glob("base-*.json") if is_best(path))
    done = command(environment, *results, f"--baseline={best}")
    assert done.returncode == 0, done.stderr
    assert f" - {best} " in done.stdout
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert len(rows) == 4 and float(rows[best]["difference_nats"]) == 0


def is_best(path):
    return json.loads(path.read_text())["checkpoint"].startswith("best")


@pytest.mark.slow
def test_an_estimate_names_what_bounds_each_machine(environment, own_file):
    done = command(environment, "launch/estimate.py", SMALL, f"--config.data.path={own_file}")
    assert done.returncode == 0, done.stderr
    counted, *machines = done.stdout.splitlines()
    assert counted.startswith("Batch 8: ") and "GFLOP a step" in counted
    for line, name in zip(machines, ("v5e-256", "8xH100"), strict=True):
        times = dict(re.findall(r"(arithmetic|memory|links) ([\d.e+-]+) us", line))
        least, bound = re.match(rf"{name}: at least (\S+) us a step, bound by (\w+)", line).groups()
        assert least == times[bound] and float(least) == max(map(float, times.values()))


@pytest.mark.slow
def test_sampling_writes_arrays_and_a_figure(environment, workdir, tmp_path):
    done = command(
        environment,
        "launch/sample.py",
        f"--workdir={workdir}",
        "--num_samples=5",
        f"--output={tmp_path / 'S.npz'}",
        f"--figure={tmp_path / 'S.png'}",
    )
    assert done.returncode == 0, done.stderr
    arrays = np.load(tmp_path / "S.npz")
    assert arrays["samples"].shape == arrays["nearest_train"].shape == (5, 10)
    assert (tmp_path / "S.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_an_exported_file_says_where_it_comes_from(environment, workdir, tmp_path):
    done = command(
        environment,
        "launch/export.py",
        f"--workdir={workdir}",
        "--function=encode",
        "--platforms=cpu,tpu",
        f"--output={tmp_path / 'F'}",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'F'}: encode of ['x'] for cpu, tpu\n"
    with zipfile.ZipFile(tmp_path / "F") as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["platforms"] == ["cpu", "tpu"] and manifest["step"] > 0
    assert manifest["inputs"] == [{"name": "x", "shape": ["b", 10], "dtype": "float32"}]


def started(environment, own_file, workdir, steps=200_000):
    """A long run in the background, once it has saved something."""
    arguments = train_arguments(
        own_file,
        workdir,
        f"--config.train.num_steps={steps}",
        "--config.train.checkpoint_every=200",
        "--config.train.eval_every=1000",
        "--config.train.log_every=1000",
    )
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 300
    while not saved_steps(workdir):
        assert process.poll() is None and time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.05)
    return process


def saved_steps(workdir):
    folder = pathlib.Path(workdir) / "checkpoints" / "latest"
    return sorted(int(p.name) for p in folder.glob("*") if p.name.isdigit())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_command_with_status_0(environment, own_file, tmp_path, number):
    process = started(environment, own_file, tmp_path / "W")
    process.send_signal(number)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert "saved." in stderr
    step = int(stderr.rsplit("Left at step ", 1)[1].split()[0])
    assert saved_steps(tmp_path / "W")[-1] == step


@pytest.mark.slow
def test_kill_9_loses_at_most_the_steps_since_the_last_save(environment, own_file, tmp_path):
    """Killed at random moments, the run goes on from a save it had committed."""
    draw, seen = random.Random(0), 0
    for _ in range(3):
        process = started(environment, own_file, tmp_path / "W")
        time.sleep(draw.uniform(0.1, 1.5))
        process.kill()
        process.communicate()
        assert saved_steps(tmp_path / "W")[-1] >= seen
        seen = saved_steps(tmp_path / "W")[-1]
    rest = train_arguments(own_file, tmp_path / "W", f"--config.train.num_steps={seen + 100}")
    done = command(environment, *rest)
    assert done.returncode == 0, done.stderr
    assert f"latest:{seen}" in done.stderr and saved_steps(tmp_path / "W")[-1] == seen + 100
    whole = train_arguments(own_file, tmp_path / "whole", f"--config.train.num_steps={seen + 100}")
    assert command(environment, *whole).returncode == 0


@pytest.mark.slow
def test_a_second_run_on_a_workdir_is_refused(environment, own_file, tmp_path):
    process = started(environment, own_file, tmp_path / "W")
    try:
        arguments = train_arguments(own_file, tmp_path / "W")
        assert_one_line(command(environment, *arguments), "Another run is writing")
    finally:
        process.kill()
        process.communicate()
