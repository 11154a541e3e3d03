"""A sweep's trials as a table and as points to plot."""

from typing import Any

from rlvm.jobs import report
from rlvm.jobs.sweep import STAGES, Study


def table(study: Study) -> str:
    """The trials as a Markdown table: those that went on, then the others, the best first."""
    header = ["trial", *fields(study), "validation", "step", "parameters", "minutes", "status"]
    order = sorted(range(len(study.sweep.trials)), key=lambda trial: rank(study, trial))
    return report.markdown(header, [row(study, trial) for trial in order])


def fields(study: Study) -> list[str]:
    """The fields that any trial changes."""
    return sorted({field for trial in study.sweep.trials for field in trial})


def furthest(study: Study, trial: int) -> tuple[str, dict[str, Any] | None]:
    """The last stage that a trial has ended, and how."""
    records = {stage: study.record(trial, stage) for stage in reversed(STAGES)}
    return next(((stage, record) for stage, record in records.items() if record), ("", None))


def rank(study: Study, trial: int) -> tuple[int, float, int]:
    """What the rows are ordered by: values of different numbers of steps do not compare."""
    stage, record = furthest(study, trial)
    if record is None or record["status"] != "done":
        return len(STAGES), 0.0, trial
    return -STAGES.index(stage), record["value"], trial


def row(study: Study, trial: int) -> list[str]:
    """One trial as cells, at the furthest stage that it has ended."""
    stage, record = furthest(study, trial)
    overrides = study.sweep.trials[trial]
    cells = [str(trial), *[cell(overrides[f]) if f in overrides else "" for f in fields(study)]]
    if record is None:
        return [*cells, "", "", "", "", "open"]
    if record["status"] == "failed":
        return [*cells, "", "", "", "", f"failed: {record['error'][:60]}"]
    minutes = f"{record['seconds'] / 60:.1f}"
    status = "done" if stage == "trial" else stage
    value = f"{record['value']:.3f}"
    return [*cells, value, str(record["step"]), str(record["params"]), minutes, status]


def points(study: Study) -> dict[str, list[tuple[str, float]]]:
    """For each field the (value, validation value) of every trial that has it and is done."""
    trials, done = study.sweep.trials, study.values()
    return {
        field: [(cell(trials[k][field]), value) for k, value in done.items() if field in trials[k]]
        for field in fields(study)
    }


def cell(value: Any) -> str:
    """A field's value in few characters."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return report.sizes(value) if isinstance(value, (list, tuple)) else str(value)
