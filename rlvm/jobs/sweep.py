"""Sweeps: trials of one config under overrides, each in a workdir of its own.

    W/sweep.json            the config and the trials, written before the first starts
    W/trials/0003/          a workdir, as `train` writes it
    W/trials/0003/trial.json, promoted.json      how it ended: 'done' with its value, or 'failed'

A trial with a record is not run again (delete the record to retry it); one without resumes.
"""

import concurrent.futures
import dataclasses
import json
import logging
import pathlib
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import jax
from etils import epath
from ml_collections import ConfigDict

from rlvm.jobs import config as configs
from rlvm.jobs import workdir
from rlvm.jobs.space import Sweep
from rlvm.jobs.train import ended, train
from rlvm.training import metrics
from rlvm.training.state import parameter_count

LOG = logging.getLogger(__name__)

STAGES = ("trial", "promoted")
COMMANDS = ("plain", "slurm")
LEFT = (-signal.SIGINT, -signal.SIGTERM)  # exit statuses of a trial that was asked to leave


@dataclasses.dataclass(frozen=True)
class Study:
    """A sweep on a config in a folder, and where its data are."""

    path: epath.Path
    config: ConfigDict
    sweep: Sweep
    data_dir: str | None = None
    manual_dir: str | None = None

    def folder(self, trial: int) -> epath.Path:
        """The workdir of a trial."""
        return self.path / "trials" / f"{trial:04d}"

    def record(self, trial: int, stage: str = "trial") -> dict[str, Any] | None:
        """How a trial ended, or None."""
        path = self.folder(trial) / f"{stage}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def trial_config(self, trial: int, stage: str) -> ConfigDict:
        """The config of a trial."""
        config = self.config.copy_and_resolve_references().lock()
        further = self.sweep.further if stage == "promoted" else {}
        for key, value in {**self.sweep.trials[trial], **further}.items():
            configs.set_field(config, key, configs.tuples(value))
        return config

    def ranking(self) -> list[int]:
        """The trials that are done, the lowest validation value first."""
        values = self.values()
        return sorted(values, key=lambda k: (values[k], k))

    def values(self) -> dict[int, float]:
        """The validation value of each trial that is done."""
        records = {k: self.record(k) for k in range(len(self.sweep.trials))}
        return {k: r["value"] for k, r in records.items() if r and r["status"] == "done"}


def find_sweep(name: str) -> Sweep:
    """The sweep of a file or of a name in `configs/sweeps`, with an argument after a colon."""
    stem, _, argument = name.partition(":")
    root = configs.config_root() / "sweeps"
    known = sorted(path.stem for path in root.glob("[a-z]*.py"))
    if not pathlib.Path(stem).is_file():
        if stem not in known:
            raise ValueError(f"No sweep '{name}'. Sweeps: {', '.join(known)}.")
        stem = str(root / f"{stem}.py")
    try:
        return configs.module(stem).get_sweep(*filter(None, [argument]))
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"The sweep '{name}' cannot be made: {error}") from error


def start(
    path: epath.PathLike, config: ConfigDict, sweep: Sweep, data_dir=None, manual_dir=None
) -> Study:
    """Record the study in its folder, or check that it is the one recorded there."""
    study = Study(epath.Path(path), config, sweep, data_dir, manual_dir)
    check(study)
    plan = {"config": config.to_dict(), "sweep": dataclasses.asdict(sweep)}
    file = study.path / "sweep.json"
    if file.exists() and json.loads(file.read_text()) != json.loads(json.dumps(plan)):
        raise ValueError(f"{path} holds another sweep; use a new --workdir.")
    study.path.mkdir(parents=True, exist_ok=True)
    workdir.write_whole(file, json.dumps(plan, indent=1))
    return study


def check(study: Study) -> None:
    """Refuse, before any training, trials that are none or could not train on."""
    if not study.sweep.trials:
        raise ValueError("The sweep has no trials.")
    try:
        for trial in range(len(study.sweep.trials)):
            pair = [study.trial_config(trial, stage) for stage in STAGES]
            changed = configs.differences(*pair)
            if changed:
                raise ValueError(f"`further` makes it another experiment ({'; '.join(changed)}).")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"The sweep does not fit the config: {error}") from error


def resume(path: epath.PathLike, data_dir=None, manual_dir=None) -> Study:
    """The study recorded in a folder."""
    file = epath.Path(path) / "sweep.json"
    if not file.exists():
        raise ValueError(f"{path} holds no sweep: it has no sweep.json.")
    plan = json.loads(file.read_text())
    config = configs.from_json(json.dumps(plan["config"]))
    return Study(epath.Path(path), config, Sweep(**plan["sweep"]), data_dir, manual_dir)


def run(study: Study, num_workers: int = 1) -> None:
    """Run what is left of both stages: here one by one, or in `num_workers` processes."""
    with workdir.lock(study.path):
        for stage in STAGES:
            chosen = members(study, stage)
            left = [i for i, trial in enumerate(chosen) if study.record(trial, stage) is None]
            if num_workers > 1:
                with concurrent.futures.ThreadPoolExecutor(num_workers) as pool:
                    ended = list(pool.map(lambda i, stage=stage: run_apart(study, i, stage), left))
            else:
                ended = run_here(study, left, stage)
            if not all(ended):
                LOG.warning("The sweep was left; the same command resumes it.")
                return


def members(study: Study, stage: str) -> list[int]:
    """The trials of a stage: all, then the best of them, by rank."""
    if stage == "trial":
        return list(range(len(study.sweep.trials)))
    return study.ranking()[: study.sweep.promote]


def run_here(study: Study, indices: Iterable[int], stage: str) -> list[bool]:
    """One trial after another in this process, until one is left before its end."""
    ended = []
    for index in indices:
        ended.append(run_trial(study, index, stage))
        jax.clear_caches()
        if not ended[-1]:
            break
    return ended


def run_apart(study: Study, index: int, stage: str) -> bool:
    """A trial in a process of its own: should it crash, the trial failed and the sweep goes on."""
    trial = members(study, stage)[index]
    status = subprocess.run(trial_command(study, str(index), stage)).returncode
    if study.record(trial, stage) is None and status not in (0, *LEFT):
        write_record(study, trial, stage, {"status": "failed", "error": f"exit status {status}"})
    return study.record(trial, stage) is not None


def run_trial(study: Study, index: int, stage: str = "trial") -> bool:
    """Train the trial number `index` of a stage and record how it ended.

    False where it was asked to leave before its end.
    """
    chosen = members(study, stage)
    if index >= len(chosen):
        raise ValueError(f"No trial {index}: stage '{stage}' has {len(chosen)} so far.")
    trial = chosen[index]
    if study.record(trial, stage) is not None:
        return True
    folder, config = study.folder(trial), study.trial_config(trial, stage)
    result: dict[str, Any]
    LOG.info("Trial %d of %d (%s).", trial, len(study.sweep.trials), stage)
    try:
        state = train(config, folder, study.data_dir, study.manual_dir)
    except workdir.InUse:
        raise
    except Exception as error:  # whatever it was, it is this trial's result
        message = " ".join(str(error).split())[:300]
        result = {"status": "failed", "error": f"{type(error).__name__}: {message}"}
        LOG.warning("Trial %d failed: %s", trial, result["error"])
    else:
        if not ended(state, config.train):
            return False
        result = {
            "status": "done",
            "value": float(state.best_value),
            "step": int(state.best_step),
            "params": parameter_count(state.params),
            "seconds": metrics.read(folder)[-1]["seconds"],
        }
    write_record(study, trial, stage, result)
    return True


def write_record(study: Study, trial: int, stage: str, result: dict[str, Any]) -> None:
    """Write a trial's record whole or not at all."""
    folder = study.folder(trial)
    folder.mkdir(parents=True, exist_ok=True)
    record = {**result, "overrides": dict(study.sweep.trials[trial])}
    workdir.write_whole(folder / f"{stage}.json", json.dumps(record))


def trial_command(study: Study, trial: str, stage: str) -> list[str]:
    """The command that runs one trial of a recorded study."""
    command = [sys.executable, "-m", "rlvm.launch.sweep", f"--workdir={study.path}"]
    command += [f"--data_dir={study.data_dir}"] if study.data_dir else []
    command += [f"--manual_dir={study.manual_dir}"] if study.manual_dir else []
    return [*command, f"--stage={stage}", f"--trial={trial}"]


def commands(study: Study, style: str) -> list[str]:
    """Lines for a cluster: one command a trial, or one SLURM array a stage.

    The promoted trials are numbered by rank: they are known once the first stage is done.
    """
    if style not in COMMANDS:
        raise ValueError(f"No command style '{style}'. Styles: {', '.join(COMMANDS)}.")
    sizes = dict(zip(STAGES, (len(study.sweep.trials), study.sweep.promote), strict=True))
    if style == "plain":
        return [
            shlex.join(trial_command(study, str(k), stage))
            for stage in STAGES
            for k in range(sizes[stage])
        ]
    lines = []
    for stage, after in zip(STAGES, ("", '--dependency="afterany:$trials" '), strict=True):
        wrapped = shlex.join([*trial_command(study, "", stage)]) + "$SLURM_ARRAY_TASK_ID"
        line = (
            f"sbatch --parsable --array=0-{sizes[stage] - 1} {after}--wrap={shlex.quote(wrapped)}"
        )
        lines += [f"trials=$({line})" if stage == "trial" else line] if sizes[stage] else []
    return lines
