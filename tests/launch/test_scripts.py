"""The shell scripts of launch/: what they would run, and what they do when a pod is preempted."""

import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

LAUNCH = pathlib.Path(__file__).parents[2] / "launch"
SCRIPTS = sorted(LAUNCH.glob("*.sh"))
POD = ("--name=pod", "--zone=z", "--type=v5litepod-16", "--spot")
TRAIN = ("--", "--config=darn/connect4", "--workdir=gs://bucket/run", "--config.data.path=a b")


def run(script, *arguments, stubs=None, **environment):
    path = f"{stubs}:{os.environ['PATH']}" if stubs else os.environ["PATH"]
    base = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
    return subprocess.run(
        ["bash", str(LAUNCH / script), *arguments],
        env={**base, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.fixture
def stub(tmp_path):
    """stub(name, body): an executable that notes its arguments, one call a line, then does body."""

    def make(name, body="true"):
        file = tmp_path / name
        note = f'printf "%q " {name} "$@" >> {tmp_path}/calls; echo >> {tmp_path}/calls'
        file.write_text(f"#!/bin/bash\n{note}\n{body}\n")
        file.chmod(0o755)

    make.folder = tmp_path
    make.calls = lambda: [
        shlex.split(line) for line in (tmp_path / "calls").read_text().splitlines()
    ]
    return make


def verbs(calls):
    """What gcloud was asked to do, in order; an ssh that trains is 'train'."""
    found = [call[4] for call in calls if call[0] == "gcloud"]
    texts = [" ".join(call) for call in calls if call[0] == "gcloud"]
    return ["train" if "rlvm.launch.train" in t else v for v, t in zip(found, texts, strict=True)]


def test_scripts_are_there():
    assert [path.name for path in SCRIPTS] == ["local_pod.sh", "slurm.sh", "tpu_pod.sh"]


def test_shellcheck_finds_nothing():
    local = pathlib.Path(sys.executable).with_name("shellcheck")
    shellcheck = str(local) if local.exists() else shutil.which("shellcheck")
    assert shellcheck, "install the extra `test`"
    finished = subprocess.run([shellcheck, *map(str, SCRIPTS)], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout


def test_dry_run_prints_every_command_and_runs_none(stub):
    stub("gcloud")
    stub("git")
    dry = run("tpu_pod.sh", "--dry_run", *POD, "all", *TRAIN, stubs=stub.folder)
    assert dry.returncode == 0 and not (stub.folder / "calls").exists()
    printed = [shlex.split(line) for line in dry.stdout.splitlines() if line[0] != "#"]
    real = run("tpu_pod.sh", *POD, "all", *TRAIN, stubs=stub.folder)
    assert real.returncode == 0
    once = ["create", "scp", "ssh", "train"]
    assert verbs(printed) == [*once, "delete", *once, "delete"]  # with one preemption
    assert verbs(stub.calls()) == [*once, "delete"]
    assert stub.calls() == [*printed[:5], printed[-1]]


def test_every_worker_runs_the_flags_as_given(stub):
    stub("gcloud")
    run("tpu_pod.sh", *POD, "run", *TRAIN, stubs=stub.folder)
    (call,) = stub.calls()
    assert "--worker=all" in call and "--zone=z" in call
    (command,) = [part.removeprefix("--command=") for part in call if part.startswith("--command")]
    words = shlex.split(command)
    assert words[1:4] == ["-m", "rlvm.launch.train", "--distributed"]
    assert words[4:] == list(TRAIN[1:])


PREEMPTED_TWICE = """
case "$*" in
  *rlvm.launch.train*)
    n=$(cat {0}/n 2>/dev/null || echo 0)
    echo $((n + 1)) > {0}/n
    [ $n -ge 2 ] ;;
  *describe*) echo PREEMPTED ;;
esac
"""


def test_a_preempted_run_resumes_on_a_new_pod(stub):
    stub("gcloud", PREEMPTED_TWICE.format(stub.folder))
    stub("git")
    finished = run("tpu_pod.sh", *POD, "run", *TRAIN, stubs=stub.folder)
    assert finished.returncode == 0, finished.stderr
    again = ["describe", "delete", "create", "scp", "ssh", "train"]
    assert verbs(stub.calls()) == ["train", *again, *again]


def test_restarts_are_counted(stub):
    stub("gcloud", PREEMPTED_TWICE.format(stub.folder))
    stub("git")
    finished = run("tpu_pod.sh", *POD, "--max_restarts=1", "run", *TRAIN, stubs=stub.folder)
    assert finished.returncode == 1 and "preempted more than 1 times" in finished.stderr
    assert verbs(stub.calls()).count("train") == 2


def test_an_error_of_the_run_is_no_preemption_and_the_pod_is_given_back(stub):
    body = 'case "$*" in *rlvm.launch.train*) exit 2 ;; *describe*) echo READY ;; esac'
    stub("gcloud", body)
    stub("git")
    finished = run("tpu_pod.sh", *POD, "all", *TRAIN, stubs=stub.folder)
    assert finished.returncode == 1
    assert verbs(stub.calls()) == ["create", "scp", "ssh", "train", "describe", "delete"]


def test_a_local_workdir_is_refused_on_a_pod():
    finished = run("tpu_pod.sh", *POD, "run", "--", "--workdir=runs/x")
    assert finished.returncode == 2 and "needs a --workdir=gs://" in finished.stderr


def test_slurm_submits_what_the_allocation_then_runs(stub):
    stub("sbatch")
    stub("srun")
    options = ("--nodes=4", "--tasks_per_node=8", "--sbatch=--gres=gpu:8")
    assert run("slurm.sh", *options, *TRAIN, stubs=stub.folder).returncode == 0
    inside = run("slurm.sh", *options, *TRAIN, stubs=stub.folder, SLURM_JOB_ID="7")
    assert inside.returncode == 0
    submitted, step = stub.calls()
    assert {"--requeue", "--signal=TERM@120", "--gres=gpu:8", "--nodes=4"} <= {*submitted}
    (wrapped,) = [part for part in submitted if part.startswith("--wrap=")]
    assert shlex.split(wrapped.removeprefix("--wrap=")) == step
    assert step[:3] == ["srun", "--nodes=4", "--ntasks-per-node=8"]
    assert step[-3:] == list(TRAIN[1:])
    dry = run("slurm.sh", "--dry_run", *options, *TRAIN, stubs=stub.folder)
    assert shlex.split(dry.stdout) == submitted and len(stub.calls()) == 2


LOCAL_PYTHON = """
case "$1" in -c) exec {python} "$@" ;; esac
echo "$JAX_PROCESS_ID $JAX_NUM_PROCESSES $JAX_NUM_CPU_DEVICES" >> {folder}/started
{then}
"""


def local_pod(stub, then, *flags, **options):
    stub("fake_python", LOCAL_PYTHON.format(python=sys.executable, folder=stub.folder, then=then))
    return run("local_pod.sh", *flags, PYTHON=str(stub.folder / "fake_python"), **options)


def test_a_local_pod_starts_every_process_once(stub):
    assert local_pod(stub, "exit 0", "3", "--devices=4", "--config=c").returncode == 0
    started = sorted((stub.folder / "started").read_text().splitlines())
    assert started == ["0 3 4", "1 3 4", "2 3 4"]


def test_a_process_that_fails_takes_the_others_with_it(stub):
    then = 'if [ "$JAX_PROCESS_ID" = 1 ]; then exit 5; fi; exec sleep 25'
    started = time.monotonic()
    assert local_pod(stub, then, "2", "--config=c").returncode == 5
    assert time.monotonic() - started < 20


def test_a_local_pod_passes_sigterm_on_and_waits(stub):
    then = f"trap 'sleep 0.5; touch {stub.folder}/saved.$JAX_PROCESS_ID; exit 0' TERM"
    then += "\nwhile true; do sleep 0.1; done"
    stub("fake_python", LOCAL_PYTHON.format(python=sys.executable, folder=stub.folder, then=then))
    command = ["bash", str(LAUNCH / "local_pod.sh"), "2", "--config=c"]
    environment = {**os.environ, "PYTHON": str(stub.folder / "fake_python")}
    process = subprocess.Popen(command, env=environment)
    while not (stub.folder / "started").exists() or len(stub.calls()) < 3:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=25) == 0
    assert sorted(path.name for path in stub.folder.glob("saved.*")) == ["saved.0", "saved.1"]
