"""What a user gets wrong ends a command with status 2 and one line."""

import pathlib

import pytest
from commands import ROOT, assert_one_line, command, train_arguments

from rlvm.launch import flags


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


@pytest.mark.slow
def test_a_missing_workdir_flag_and_a_folder_that_is_none(environment, tmp_path):
    assert_one_line(command(environment, "launch/evaluate.py"), "workdir")
    done = command(environment, "launch/evaluate.py", f"--workdir={tmp_path}")
    assert_one_line(done, "is no workdir", "config.json")


CONFIG = "--config=darn/connect4"
MISTAKES = {
    "train": (["--workdir=W"], ["--config", "None"]),
    "estimate": ([], ["--config", "None"]),
    "sweep": (["--workdir=W"], ["Pass --config and --sweep"]),
    "sweep ": (
        ["--workdir=W", CONFIG, "--sweep=traffic:many"],
        ["'traffic:many'", "many"],
    ),
    "sweep  ": (
        ["--workdir=W", CONFIG, "--sweep=darn_uci:3"],
        ["'darn_uci:3'", "argument"],
    ),
    "sweep   ": (
        ["--workdir=W", CONFIG, "--sweep=traffic:0"],
        ["The sweep has no trials"],
    ),
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
    assert_one_line(command(environment, script, *arguments, cwd=tmp_path), *words)


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
