"""The table of networks that predict and classify: errors, NLL per frame, groups found."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from rlvm.jobs.report import by_seed, markdown
from rlvm.models.ladder.table import RECURRENT

HEADER = (
    "data set",
    "network",
    "error %",
    "squared error",
    "NLL per frame",
    "AMI by iteration",
    "how",
    "minutes",
)
Result = Mapping[str, Any]


def table(results: Iterable[Result], published: Iterable[Result] = ()) -> str:
    """A Markdown table: the measured rows of each data set, then the published ones."""
    rows = [(group[0]["dataset"], 0, measured_row(group)) for group in by_seed(results)]
    rows += [(line["dataset"], 1, published_row(line)) for line in published]
    return markdown(HEADER, [row for _, _, row in sorted(rows, key=lambda row: row[:2])])


def measured_row(group: Sequence[Result]) -> list[str]:
    """The evaluations of one config's seeds as cells."""
    first, decodes = group[0], predicts(group[0])
    seeds = f"{len(group)} seeds" if len(group) > 1 else "1 seed"
    return [
        first["dataset"],
        network(first["config"]),
        over_seeds(group, lambda r: 100 * r["extra"]["class_error"], 2),
        over_seeds(group, lambda r: r["extra"]["squared_error"], 2) if decodes else "",
        over_seeds(group, lambda r: r["nll_nats_per_step"], 2) if is_music(first) else "",
        amis(group),
        f"n = {first['num_examples']}, {seeds}, {first['config']['train']['num_steps']:,} updates",
        over_seeds(group, lambda r: r["train_seconds"] / 60, 1, spread=False),
    ]


def over_seeds(
    group: Sequence[Result], read: Callable[[Result], float], digits: int, spread: bool = True
) -> str:
    """Mean over seeds, from two on with a 95% Student-t interval; empty where not measured."""
    try:
        values = [read(result) for result in group]
    except KeyError:
        return ""
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) < 2 or not spread:
        return mean
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{mean} ± {half:.{digits}f}"


def amis(group: Sequence[Result]) -> str:
    """AMI after each iteration, and those of the baselines that were measured beside it."""
    found = group[0]["extra"]
    iterations = [name for name in found if name.startswith("ami_") and name[4:].isdigit()]
    cells = []
    for name in iterations:
        cells.append(over_seeds(group, functools.partial(extra_of, name), 3))
    baselines = {"k-means": "ami_kmeans", "usual place": "ami_place"}
    measured = [f"{name} {found[key]:.3f}" for name, key in baselines.items() if key in found]
    if measured:
        cells.append(f"({', '.join(measured)})")
    return " ".join(cells)


def extra_of(name: str, result: Result) -> float:
    """One of a result's extra numbers."""
    return result["extra"][name]


def is_music(result: Result) -> bool:
    """Whether the NLL is that of keys: one of fixed variance says no more than its error."""
    return result["config"]["model"].get("observation") in ("keys", "chords")


def predicts(result: Result) -> bool:
    """Whether frames of pixels were predicted and the prediction was trained."""
    objective = result["config"]["objective"]
    weighed = objective["task"] == "next_frame" and objective["prediction_weight"] > 0
    return weighed and not is_music(result)


def network(config: Mapping[str, Any]) -> str:
    """The network by what it has: a decoder, its connections, its costs."""
    model, objective = config["model"], config["objective"]
    if model["name"] == "tagger":
        parts = [f"RTagger, K = {model['num_groups']}"]
        if not objective["class_weight"]:
            parts.append("no class cost")
        if objective.get("segment_weight", 0.0):
            parts.append("taught masks")
        return ", ".join(parts)
    rows = model["layers"]
    if not any(len(row) > 4 and row[4] for row in rows):
        kinds = {row[0] for row in rows if row[0] in RECURRENT}
        names = {(): "static network", ("LSTM",): "temporal baseline"}
        parts = [names.get(tuple(kinds), "hierarchical RNN")]
    else:
        parts = ["RLadder"]
        if not model["decoder_to_encoder"]:
            parts.append("no decoder-to-encoder connections")
        if not objective["prediction_weight"]:
            parts.append("no prediction task")
    if model.get("observation") == "chords":
        parts.append("keys given lower ones")
    if objective["consistency_weight"]:
        parts.append("Mean Teacher")
    if config["data"].get("with_validation", False):
        parts.append("train + validation")
    return ", ".join(parts)


def published_row(line: Result) -> list[str]:
    """A published number as cells."""
    source = line["source"] + (" (as recalled)" if line["recalled"] else "")

    def cell(name: str) -> str:
        return str(line[name]) if name in line else ""

    numbers = [cell("error_percent"), "", cell("nll_nats_per_step"), cell("ami")]
    return [line["dataset"], line["model"], *numbers, source, ""]
