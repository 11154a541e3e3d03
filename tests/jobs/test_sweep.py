"""Sweeps: the search spaces, and what is run, recorded, skipped, resumed and promoted."""

import json
import os
import pathlib
import shlex
import subprocess
import sys
import types

import numpy as np
import pytest
import runs

from rlvm.jobs import config as configs
from rlvm.jobs import figures, sweep, sweep_report, workdir
from rlvm.jobs.space import Sweep, Uniform, grid, random_search

ROOT = pathlib.Path(__file__).parents[2]
RATES = "optimizer.learning_rate"


def test_grid_is_every_combination():
    found = grid({"a": [1, 2], "b": ["x", "y", "z"]})
    assert [tuple(trial.values()) for trial in found] == [
        (a, b) for a in (1, 2) for b in ("x", "y", "z")
    ]


def test_random_search_follows_from_the_seed_alone():
    space = {"rate": Uniform(1e-4, 1e-2, log=True), "size": [1, 2, 3]}
    assert random_search(space, 5, seed=1) == random_search(space, 9, seed=1)[:5]
    assert random_search(space, 5, seed=1) != random_search(space, 5, seed=2)


def test_draws_are_uniform_in_the_scale_asked_for():
    space = {"log": Uniform(1e-4, 1.0, log=True), "plain": Uniform(2.0, 4.0), "size": [1, 2, 3]}
    drawn = random_search(space, 4000)
    log, plain = ([trial[name] for trial in drawn] for name in ("log", "plain"))
    quarters = np.quantile(np.log10(log), [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quarters, [-3, -2, -1], atol=0.15)
    np.testing.assert_allclose(np.quantile(plain, [0.25, 0.75]), [2.5, 3.5], atol=0.1)
    assert min(log) >= 1e-4 and max(log) <= 1.0
    counts = np.bincount([trial["size"] for trial in drawn])[1:]
    np.testing.assert_allclose(counts / 4000, 1 / 3, atol=0.05)


FITS = {
    "conditioning": "ssm/traffic:full",
    "darn_uci": "darn/uci",
    "optimizer": "darn/connect4",
    "row_mnist": "ssm/row_mnist",
    "traffic": "ssm/traffic:paper_full",
    "uav": "ssm/uav:full",
}


def test_every_sweep_is_tried_here():
    files = (ROOT / "configs/sweeps").glob("[a-z]*.py")
    assert {path.stem for path in files} == {*FITS}


@pytest.mark.parametrize("name", FITS)
def test_every_trial_fits_its_config(name, tmp_path):
    study = sweep.start(tmp_path, configs.load(FITS[name]), sweep.find_sweep(name))
    again = sweep.resume(tmp_path)
    assert len(study.sweep.trials) >= 8
    for trial in range(len(study.sweep.trials)):
        config = study.trial_config(trial, "trial")
        assert configs.sha256(again.trial_config(trial, "trial")) == configs.sha256(config)
        fields = configs.flat(config)
        assert {key: fields[key] for key in study.sweep.trials[trial]} == study.sweep.trials[trial]
        further = study.trial_config(trial, "promoted")
        assert configs.differences(config, further) == []  # the workdir takes it up


def test_the_architectures_of_darn_on_uci():
    trials = sweep.find_sweep("darn_uci").trials
    sizes = {tuple(value[0] for value in trial.values()) for trial in trials}
    assert len(sizes) == 35 and {(100, 8), (500, 256), (300, 12)} <= sizes


class Trainer:
    """Stands in for training: the value is the learning rate; some trials end otherwise."""

    def __init__(self, crash=(), leave=()):
        self.crash, self.leave, self.seen = set(crash), set(leave), []

    def __call__(self, config, folder, data_dir, manual_dir):
        rate, steps = config.optimizer.learning_rate, config.train.num_steps
        self.seen.append((rate, steps))
        if rate in self.crash:
            raise FloatingPointError("Metric 'loss' was not finite\nat step 3.")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.jsonl").write_text(json.dumps({"step": 1, "seconds": 90.0}) + "\n")
        done = 1 if rate in self.leave else steps
        fields = {"step": done, "best_value": rate, "best_step": done, "bad_evals": 0}
        return types.SimpleNamespace(params={"w": np.zeros(7)}, **fields)


@pytest.fixture
def study(tmp_path):
    trials = [{RATES: rate} for rate in (0.3, 0.1, 0.2, 0.4)]
    made = Sweep(trials, promote=2, further={"train.num_steps": 50})
    return sweep.start(tmp_path / "study", runs.small_config(), made, tmp_path / "data")


def run_with(monkeypatch, study, **kinds) -> list:
    trainer = Trainer(**kinds)
    monkeypatch.setattr(sweep, "train", trainer)
    sweep.run(study)
    return trainer.seen


def test_the_best_go_on_and_nothing_runs_twice(study, monkeypatch):
    assert run_with(monkeypatch, study) == [
        *[(rate, 12) for rate in (0.3, 0.1, 0.2, 0.4)],
        *[(rate, 50) for rate in (0.1, 0.2)],
    ]
    assert study.ranking() == [1, 2, 0, 3]
    assert run_with(monkeypatch, study) == []


def test_a_failed_trial_is_recorded_and_skipped(study, monkeypatch):
    run_with(monkeypatch, study, crash={0.1})
    assert study.ranking() == [2, 0, 3]
    assert study.record(1) == {
        "status": "failed",
        "error": "FloatingPointError: Metric 'loss' was not finite at step 3.",
        "overrides": {RATES: 0.1},
    }
    assert run_with(monkeypatch, study) == []
    (study.folder(1) / "trial.json").unlink()
    assert run_with(monkeypatch, study) == [(0.1, 12), (0.1, 50)]  # retried, and now the best


def test_a_trial_that_is_left_stops_the_sweep_and_is_resumed(study, monkeypatch):
    assert [rate for rate, _ in run_with(monkeypatch, study, leave={0.1})] == [0.3, 0.1]
    assert study.record(1) is None
    assert [rate for rate, _ in run_with(monkeypatch, study)] == [0.1, 0.2, 0.4, 0.1, 0.2]


def test_another_run_on_a_trial_is_no_failure(study, monkeypatch):
    def held(*_):
        raise workdir.InUse("Another run is writing")

    monkeypatch.setattr(sweep, "train", held)
    with pytest.raises(ValueError, match="Another run"):
        sweep.run(study)
    assert study.record(0) is None


def test_the_table_has_the_best_first_and_says_what_failed(study, monkeypatch):
    trainer = Trainer(crash={0.3}, leave={0.2})
    monkeypatch.setattr(sweep, "train", trainer)
    sweep.run(study)
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in sweep_report.table(study).splitlines()
    ]
    assert lines[0] == ["trial", RATES, "validation", "step", "parameters", "minutes", "status"]
    assert lines[2] == ["1", "0.1", "0.100", "12", "7", "1.5", "done"]
    assert lines[3][:2] == ["0", "0.3"] and lines[3][-1].startswith("failed: FloatingPointError")
    assert lines[4][-1] == "open"
    assert sweep_report.points(study) == {RATES: [("0.1", 0.1)]}


def test_those_that_went_on_are_ranked_by_where_they_came(study, monkeypatch):
    run_with(monkeypatch, study)
    ended = {**study.record(1, "promoted"), "value": 0.35}  # once first, 0.1, now behind trial 2
    (study.folder(1) / "promoted.json").write_text(json.dumps(ended))
    rows = [line.split("|") for line in sweep_report.table(study).splitlines()[2:]]
    found = [(row[1].strip(), row[3].strip(), row[-2].strip()) for row in rows]
    assert found == [
        ("2", "0.200", "promoted"),
        ("1", "0.350", "promoted"),
        ("0", "0.300", "done"),
        ("3", "0.400", "done"),
    ]


def test_trials_may_change_different_fields(tmp_path):
    made = sweep.start(tmp_path, runs.small_config(), Sweep([{"seed": 1}, {RATES: 0.5}]))
    for trial, value in ((0, 3.0), (1, 2.0)):
        done = {"status": "done", "value": value, "step": 4, "params": 7, "seconds": 6.0}
        sweep.write_record(made, trial, "trial", done)
    assert sweep_report.points(made) == {RATES: [("0.5", 2.0)], "seed": [("1", 3.0)]}
    first = sweep_report.table(made).splitlines()[2].split("|")
    assert [cell.strip() for cell in first[1:4]] == ["1", "0.5", ""]


def test_a_workdir_holds_one_sweep(study):
    other = Sweep(study.sweep.trials[:2])
    with pytest.raises(ValueError, match="holds another sweep"):
        sweep.start(study.path, study.config, other)
    assert sweep.resume(study.path).sweep.trials == list(study.sweep.trials)


def test_errors_come_before_training(tmp_path):
    config = runs.small_config()
    with pytest.raises(ValueError, match=r"The sweep does not fit the config: .*learn_rate"):
        sweep.start(tmp_path, config, Sweep([{"optimizer.learn_rate": 1.0}]))
    with pytest.raises(ValueError, match="The sweep has no trials"):
        sweep.start(tmp_path, config, Sweep([]))
    other = Sweep([{"seed": 1}], promote=1, further={"train.batch_size": 4})
    with pytest.raises(ValueError, match=r"another experiment \(train.batch_size: 8 -> 4\)"):
        sweep.start(tmp_path, config, other)
    assert not list(tmp_path.iterdir())
    for wrong in ("darn_uci:3", "traffic:many"):
        with pytest.raises(ValueError, match=f"The sweep '{wrong}' cannot be made: "):
            sweep.find_sweep(wrong)
    with pytest.raises(ValueError, match=r"No sweep 'darm'\. Sweeps: conditioning, darn_uci"):
        sweep.find_sweep("darm")
    with pytest.raises(ValueError, match="holds no sweep"):
        sweep.resume(tmp_path / "nothing")


def test_commands_name_every_trial_once(study):
    lines = [shlex.split(line) for line in sweep.commands(study, "plain")]
    assert [line[-2:] for line in lines] == [
        *[["--stage=trial", f"--trial={k}"] for k in range(4)],
        *[["--stage=promoted", f"--trial={k}"] for k in range(2)],
    ]
    with pytest.raises(ValueError, match=r"No command style 'pbs'. Styles: plain, slurm"):
        sweep.commands(study, "pbs")


def test_slurm_runs_what_the_lines_say(study, tmp_path):
    """A stand-in for sbatch writes down its arguments and runs the wrapped command's last task."""
    stub = tmp_path / "sbatch"
    stub.write_text(
        "#!/bin/bash\n"
        f'echo "$2 $3" >> {tmp_path}/calls\n'
        'for a in "$@"; do case $a in --wrap=*) wrapped=${a#--wrap=};; esac; done\n'
        f'SLURM_ARRAY_TASK_ID=3 bash -c "echo $wrapped" >> {tmp_path}/calls\n'
        "echo 77\n"
    )
    stub.chmod(0o755)
    script = "set -e\n" + "\n".join(sweep.commands(study, "slurm"))
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", script], env=environment, check=True)
    first, wrapped, second, _ = (tmp_path / "calls").read_text().splitlines()
    assert first.startswith("--array=0-3")
    assert shlex.split(wrapped) == sweep.trial_command(study, "3", "trial")
    assert second == "--array=0-1 --dependency=afterany:77"


@pytest.mark.slow
def test_two_workers_train_and_record_a_failure(tmp_path):
    x = (np.random.default_rng(0).random((40, 6)) < 0.3).astype(np.uint8)
    np.savez(tmp_path / "own.npz", train=x, valid=x[:8], test=x[:8])
    (tmp_path / "sizes.py").write_text(
        "from rlvm.jobs.space import Sweep, grid\n\n\n"
        "def get_sweep():\n    return Sweep(grid({'train.batch_size': [8, 400]}))\n"
    )
    command = [sys.executable, "-m", "rlvm.launch.sweep", "--config=darn/arrays"]
    command += [f"--config.data.path={tmp_path}/own.npz", "--config.train.num_steps=3"]
    command += ["--config.model.stochastic_units=(3,)", f"--sweep={tmp_path}/sizes.py"]
    command += [f"--workdir={tmp_path}/W", f"--data_dir={tmp_path}/data", "--num_workers=2"]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr[-3000:]
    table = finished.stdout.splitlines()
    assert "done" in table[2] and "failed: ValueError: train.batch_size is 400" in table[3]
    assert (tmp_path / "W/trials/0000/checkpoints").is_dir()
    study = sweep.resume(tmp_path / "W")
    assert study.ranking() == [0]


def test_the_picture_has_a_panel_a_field_and_numbers_in_order(monkeypatch):
    shown = []
    monkeypatch.setattr(figures, "save", lambda figure, path: shown.append(figure))
    pairs = [("200", 1.0), ("1e+03", 2.0), ("relu", 0.5), ("30", 3.0)]
    figures.draw_sweep({"units": pairs, "rate": [("0.1", 1.0)] * 4}, "F.png")
    units, rate = shown[0].axes
    assert [label.get_text() for label in units.get_xticklabels()] == ["30", "200", "1e+03", "relu"]
    assert list(units.lines[0].get_xdata()) == [1, 2, 3, 0]
    assert rate.get_xlabel() == "rate"
