"""Result lines joined into Markdown tables, beside the published numbers."""

import csv
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rlvm.jobs import config as configs
from rlvm.training.metrics import validate

HEADER = ("data set", "model", "NLL", "how", "bound", "distortion", "rate", "active", "minutes")
COMPARED = ("left - right", "nats per sequence", "95%", "by seed", "test sequences")
INTERVALS = ("nll_nats_mc95", "difference_nats_95")  # fields of a low and a high end
MARK = "<!-- results:{} -->"


def read_results(path: str) -> list[dict[str, Any]]:
    """The evaluations in a file, or in a folder's .json files: a JSON object a line, checked.

    Those of a folder have the name of their file, without its ending, as `file`.
    """
    given = pathlib.Path(path)
    files = sorted(given.glob("*.json")) if given.is_dir() else [given]
    found: list[dict[str, Any]] = []
    for file in filter(pathlib.Path.exists, files):
        name = {"file": file.stem} if given.is_dir() else {}
        lines = filter(str.strip, file.read_text().splitlines())
        found += [{**read_line(line, file), **name} for line in lines]
    if not found:
        raise ValueError(f"No evaluations in {path}; launch/evaluate.py --output writes them.")
    return found


def read_line(line: str, file: pathlib.Path) -> Mapping[str, Any]:
    """One evaluation, checked."""
    try:
        return validate(json.loads(line))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file} holds a line that is no evaluation: {error}") from error


def read_published(path: str) -> list[dict[str, Any]]:
    """The published numbers beside a results file: `published.jsonl` in the same folder."""
    file = pathlib.Path(path).with_name("published.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def text(results: Sequence[Mapping[str, Any]], path: str) -> str:
    """The table of the results read from `path`, and below it those of what else was measured."""
    published = read_published(path)
    if all("first_frame_counts" in result["extra"] for result in results):
        from rlvm.jobs import ladder_report

        return ladder_report.table(results, published)
    from rlvm.jobs import ssm_report

    parts = [table(results, published), comparisons(path), *ssm_report.tables(path)]
    return "\n\n".join(filter(None, parts))


def write_csv(results: Sequence[Mapping[str, Any]], path: str) -> None:
    """The numbers and names of each evaluation as a row, nested objects left out."""
    rows = [cells(result) for result in results]
    names = dict.fromkeys(name for row in rows for name in row)
    with pathlib.Path(path).open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def cells(result: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an evaluation that fit into a table's cell; an interval takes two."""
    plain = {k: v for k, v in result.items() if not isinstance(v, dict) and k not in INTERVALS}
    for name in filter(result.__contains__, INTERVALS):
        low, high = result[name] or (None, None)
        plain |= {f"{name}_low": low, f"{name}_high": high}
    return plain


def table(results: Iterable[Mapping[str, Any]], published: Iterable[Mapping[str, Any]] = ()) -> str:
    """A Markdown table: measured rows first within each data set, then the published ones."""
    seeds = [averaged(group) for group in by_seed(results)]
    rows = [(r["dataset"], 0, best(r), measured_row(r)) for r in seeds]
    rows += [(p["dataset"], 1, best(p), published_row(p)) for p in published]
    return markdown(HEADER, [row[-1] for row in sorted(rows, key=lambda row: row[:3])])


def by_seed(results: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Evaluations in groups that differ in nothing asked for but the seed."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        asked = {k: result[k] for k in ("split", "estimator", "num_examples", "num_samples")}
        asked |= {"step": None if result["checkpoint"].startswith("best") else result["step"]}
        config = configs.from_json(json.dumps({**result["config"], "seed": 0}))
        key = json.dumps([result["dataset"], asked, configs.to_json(config)], sort_keys=True)
        while result["seed"] in {other["seed"] for other in groups.get(key, [])}:
            key += " again"  # another checkpoint of that seed, or another repeat
        groups.setdefault(key, []).append(result)
    return list(groups.values())


def averaged(group: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """One evaluation as it is; of several seeds the means, with the range of what is compared."""
    if len(group) == 1:
        return group[0]
    means = {
        name: float(np.mean([result[name] for result in group]))
        for name in ("nll_nats", "bound_nats", "distortion_nats", "rate_nats", "train_seconds")
        if all(result[name] is not None for result in group)
    }
    active = [result["extra"].get("active_units", 0) for result in group]
    values = [best(result) for result in group]
    seeds = f"mean of {len(group)} seeds, {min(values):.2f} to {max(values):.2f}"
    units = {"active_units": round(np.mean(active))} if any(active) else {}
    return {**group[0], **means, "extra": units, "seeds": seeds}


def comparisons(path: str) -> str:
    """The comparisons beside a results file (`comparisons.jsonl`) as a table, or nothing."""
    file = pathlib.Path(path).with_name("comparisons.jsonl")
    if not file.exists():
        return ""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return markdown(COMPARED, [comparison_row(line) for line in lines])


def comparison_row(line: Mapping[str, Any]) -> list[str]:
    """One comparison as cells."""
    low, high = line["difference_nats_95"]
    return [
        line["title"],
        f"{line['difference_nats']:+.2f}",
        f"[{low:+.2f}, {high:+.2f}]",
        ", ".join(f"{value:+.2f}" for value in line["by_seed"]),
        f"{line['num_examples']} in {line['num_clusters']} clusters",
    ]


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells as a Markdown table, columns aligned for reading as plain text too."""
    cells = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    padded = [[c.ljust(w) for c, w in zip(row, widths, strict=True)] for row in cells]
    lines = ["| " + " | ".join(row) + " |" for row in padded]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def best(result: Mapping[str, Any]) -> float:
    """NLL, or the bound where no likelihood was measured; in nats."""
    return result["nll_nats"] if result["nll_nats"] is not None else result["bound_nats"]


def measured_row(result: Mapping[str, Any]) -> list[str]:
    """One evaluation as cells."""
    trained = result["train_seconds"]
    return [
        result["dataset"],
        label(result),
        nll_cell(result),
        how(result),
        nats(result["bound_nats"]),
        nats(result["distortion_nats"]),
        nats(result["rate_nats"]),
        str(result["extra"].get("active_units", "")),
        "" if trained is None else f"{trained / 60:.1f}",
    ]


def label(result: Mapping[str, Any]) -> str:
    """Model and architecture in a few words."""
    model = result["config"]["model"]
    parts = [result["model"].upper()]
    if model.get("orderings"):
        parts[0] = f"EoNADE, {model['orderings']} orderings" if parts[0] == "NADE" else parts[0]
    if "hidden_units" in model:
        parts.append(f"{model['hidden_units']} hidden")
    if "components" in model:
        parts = [f"mixture of Bernoullis, K = {model['components']}"]
    if "conditioning" in model:
        parts.append(model["conditioning"])
    if "stochastic_units" in model:
        parts.append(f"{sizes(model['stochastic_units'])} latent")
    if "deterministic_units" in model:
        parts.append(f"{sizes(model['deterministic_units'])} tanh")
    if model.get("linear_decoder"):
        parts[0] = "fDARN"
    if model.get("visible_nade"):
        parts.append(f"NADE of {model['visible_nade']} over x")
    elif model.get("autoregressive_visibles"):
        parts.append("autoregressive x")
    if "shift" in result["config"].get("objective", {}):
        parts.append("moved images")
    return ", ".join(parts)


def sizes(units: Any) -> str:
    """(500,) as '500', twelve layers of 80 as '12 x 80'."""
    flat = list(units)
    if len(flat) > 1 and len({str(unit) for unit in flat}) == 1:
        return f"{len(flat)} x {flat[0]}"
    return "-".join(str(unit) for unit in flat)


def nll_cell(result: Mapping[str, Any]) -> str:
    """NLL with half its Monte Carlo interval, where it has one."""
    if result["nll_nats"] is None:
        return ""
    if result["nll_nats_mc95"] is None:
        return nats(result["nll_nats"])
    low, high = result["nll_nats_mc95"]
    return f"{result['nll_nats']:.3f} ± {(high - low) / 2:.3f}"


def how(result: Mapping[str, Any]) -> str:
    """The estimator, its samples and repeats, and the examples if not a whole split."""
    name = result["estimator"]
    if name == "importance":
        name = f"S = {result['num_samples']} x {result['repeats']}"
    seeds = [result["seeds"]] if "seeds" in result else []
    return ", ".join([name, f"n = {result['num_examples']}", *seeds])


def nats(value: float | None) -> str:
    """Nats to two places, or nothing."""
    return "" if value is None else f"{value:.2f}"


def published_row(line: Mapping[str, Any]) -> list[str]:
    """A published number as cells."""
    source = line["source"] + (" (as recalled)" if line["recalled"] else "")
    bound = nats(line.get("bound_nats"))
    return [line["dataset"], line["model"], nats(line["nll_nats"]), source, bound, "", "", "", ""]


def section(readme: str, name: str) -> str:
    """What stands between a README's two marks of a family."""
    mark = MARK.format(name)
    if readme.count(mark) != 2:
        raise ValueError(f"README has {readme.count(mark)} marks '{mark}'; expected two.")
    return readme.split(mark)[1]


def update(readme: str, name: str, new: str) -> str:
    """The README with a family's section replaced by `new`."""
    section(readme, name)
    mark = MARK.format(name)
    before, _, after = readme.split(mark)
    return f"{before}{mark}\n{new}\n{mark}{after}"
