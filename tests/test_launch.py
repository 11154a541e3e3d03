"""The commands, as a user types them: one line and status 2 for a mistake, a record for success."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from rlvm.launch import flags
from rlvm.training import metrics

ROOT = pathlib.Path(__file__).parents[1]
SMALL = "--config=tests/small_config.py"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """One device, folders of its own, a compilation cache shared by all commands here."""
    folder = tmp_path_factory.mktemp("launch")
    kept = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "NPROC")}
    return {**kept, "RLVM_DATA": str(folder / "data"), "RLVM_CACHE": str(folder / "cache")}


@pytest.fixture(scope="module")
def own_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "own.npz"
    rows = np.random.default_rng(0).integers(0, 2, (60, 10)).astype(np.uint8)
    np.savez(path, train=rows[:40], valid=rows[40:50], test=rows[50:])
    return path


def command(environment, *arguments):
    """Run `python *arguments` in the checkout."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment
    )


def train_arguments(own_file, workdir, *more):
    return [
        "launch/train.py",
        SMALL,
        f"--config.data.path={own_file}",
        f"--workdir={workdir}",
        *more,
    ]


@pytest.fixture(scope="module")
def workdir(environment, own_file, tmp_path_factory):
    """A workdir that launch/train.py made."""
    folder = tmp_path_factory.mktemp("run") / "W"
    done = command(environment, *train_arguments(own_file, folder))
    assert done.returncode == 0, done.stderr
    return folder


def assert_one_line(done, *words):
    """Status 2, nothing on stdout, and one line on stderr that holds all `words`."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2 and done.stdout == ""
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("--config.model.stochastic_unit=(3,)", ["stochastic_unit", "stochastic_units"]),
        ("--config.train.num_steps=many", ["num_steps"]),
        (
            "--config=configs/darn/conect4.py",
            ["No config 'configs/darn/conect4.py'", "darn/arrays"],
        ),
        ("--seed=1", ["Unknown command line flag 'seed'"]),
    ],
)
def test_mistakes_in_flags(environment, own_file, tmp_path, mistake, words):
    assert_one_line(command(environment, *train_arguments(own_file, tmp_path, mistake)), *words)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("--config.model.name=darm", ["No model 'darm'", "darn", "fvsbn"]),
        ("--config.objective.name=elbo", ["No objective 'elbo'", "description_length"]),
        ("--config.objective.estimator=darm", ["No estimator 'darm'", "straight_through"]),
        ("--config.optimizer.name=adm", ["No optimizer 'adm'", "rmsprop"]),
        ("--config.optimizer.schedule=cosin", ["No schedule 'cosin'", "cosine"]),
        ("--config.parallel=ddp", ["No parallel mode 'ddp'", "sharded"]),
        ("--config.data.name=conect4", ["No data set 'conect4'", "connect4"]),
        ("--config.data.path=nowhere.npz", ["No file", "nowhere.npz", "looked from"]),
        ("--config.train.batch_size=41", ["batch_size is 41", "40 training rows"]),
    ],
)
def test_mistakes_in_a_config(environment, own_file, tmp_path, mistake, words):
    assert_one_line(command(environment, *train_arguments(own_file, tmp_path, mistake)), *words)


@pytest.mark.parametrize("name", ["train", "evaluate", "sample", "prepare_data"])
def test_help(environment, name):
    """As a module of the installed package, which is what an installed wheel has."""
    done = command(environment, "-m", f"rlvm.launch.{name}", "--help")
    assert "--" in done.stdout and "Traceback" not in done.stderr and done.returncode in (0, 1)


@pytest.mark.slow
def test_a_missing_workdir_flag_and_a_folder_that_is_none(environment, tmp_path):
    assert_one_line(command(environment, "launch/evaluate.py"), "workdir")
    done = command(environment, "launch/evaluate.py", f"--workdir={tmp_path}")
    assert_one_line(done, "is no workdir", "config.json")


MISTAKES = {
    "train": (["--workdir=W"], ["--config", "None"]),
    "estimate": ([], ["--config", "None"]),
    "sweep": (["--workdir=W"], ["Pass --config and --sweep"]),
    "sweep ": (["--workdir=W", SMALL, "--sweep=traffic:many"], ["'traffic:many'", "many"]),
    "sweep  ": (["--workdir=W", SMALL, "--sweep=darn_uci:3"], ["'darn_uci:3'", "argument"]),
    "sweep   ": (["--workdir=W", SMALL, "--sweep=traffic:0"], ["The sweep has no trials"]),
    "report": ([], ["Pass --results, --sweep or --plot"]),
    "report ": (["--results=nothing.jsonl"], ["No evaluations in nothing.jsonl"]),
    "report  ": (["--sweep=nothing"], ["nothing holds no sweep"]),
    "evaluate": (["--workdir=a/*"], ["--workdir=a/* matches no workdir"]),
    "export": (["--workdir=W", "--function=sample", "--output=F"], ["W is no workdir"]),
    "compare": (["--left=a.npz", "--right=b.npz"], ["No file a.npz"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_of_other_commands(environment, tmp_path, name):
    arguments, words = MISTAKES[name]
    script = str(ROOT / f"launch/{name.strip()}.py")
    small = f"--config={ROOT}/tests/small_config.py"
    arguments = [small if argument == SMALL else argument for argument in arguments]
    done = subprocess.run(
        [sys.executable, script, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert_one_line(done, *words)


def test_a_file_that_cannot_be_opened_is_one_line(capsys):
    def main():
        pathlib.Path("/nowhere/F.json").write_text("{}")

    with pytest.raises(SystemExit) as left:
        flags._guarded(main)
    assert left.value.code == 2
    assert capsys.readouterr().err == "error: No such file or directory: /nowhere/F.json\n"


def test_an_answer_is_printed_even_where_its_file_cannot_be(capsys, tmp_path):
    flags.answer({"a": 1}, str(tmp_path / "new/folder/F.json"))
    assert (tmp_path / "new/folder/F.json").read_text() == '{"a": 1}\n'
    with pytest.raises(OSError):
        flags.answer({"b": 2}, str(tmp_path / "new/folder"))
    assert capsys.readouterr().out == '{"a": 1}\n{"b": 2}\n'


@pytest.mark.slow
def test_missing_data_files_say_what_to_run(environment, tmp_path):
    done = command(
        environment,
        "launch/prepare_data.py",
        "--dataset=connect4/nade_split",
        f"--data_dir={tmp_path}",
    )
    assert_one_line(done, "uci_connect4.npz", "prepare_data.py", "--manual_dir")


@pytest.mark.slow
def test_mistakes_in_an_evaluation(environment, workdir):
    for flag, words in [
        ("--split=tset", ["has no split 'tset'", "train, valid, test"]),
        ("--estimator=exacct", ["No estimator 'exacct'", "bound, exact, importance"]),
        ("--checkpoint=77", ["No checkpoint '77'", "12"]),
    ]:
        done = command(environment, "launch/evaluate.py", f"--workdir={workdir}", flag)
        assert_one_line(done, *words)


@pytest.mark.slow
def test_another_config_on_a_workdir(environment, own_file, workdir):
    arguments = train_arguments(own_file, workdir, "--config.seed=3")
    assert_one_line(command(environment, *arguments), "another experiment", "seed: 0 -> 3")


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


@pytest.mark.slow
def test_nan_ends_a_command_with_a_status_and_a_line(environment, own_file, tmp_path):
    done = command(
        environment,
        *train_arguments(
            own_file,
            tmp_path / "W",
            "--config.optimizer.name=sgd",
            "--config.optimizer.learning_rate=3e38",
            "--config.optimizer.momentum=0",
        ),
    )
    assert done.returncode == 2
    assert "error: Metric '" in done.stderr and "was not finite at step 1;" in done.stderr
    assert "Traceback" not in done.stderr
