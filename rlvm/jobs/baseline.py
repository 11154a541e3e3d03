"""The evaluations of a folder beside one of them, paired example by example.

`launch/evaluate.py --output=FOLDER` leaves each evaluation's NLLs beside its JSON object.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from rlvm.jobs import report
from rlvm.jobs.compare import compare

HEADER = ("model - baseline", "nats per example", "95%", "by seed", "examples")
SAME = ("dataset", "split", "data_sha256", "num_examples")  # what pairs examples
DIFFERENCE = ("difference_nats", "difference_nats_95")
NUM_RESAMPLES = 2_000

Result = Mapping[str, Any]


def choose(results: Sequence[Result], baseline: str) -> list[Result]:
    """The evaluation whose file's name begins with `baseline`, with those of its other seeds."""
    if any("file" not in result for result in results):
        raise ValueError("--baseline needs --results=FOLDER, what launch/evaluate.py left.")
    groups = report.by_seed(results)
    found = [group for group in groups if any(r["file"].startswith(baseline) for r in group)]
    if len(found) != 1:
        files = ", ".join(result["file"] for result in results)
        raise ValueError(
            f"--baseline={baseline} begins the names of {len(found)} evaluations; expected one "
            f"(or its seeds). Files: {files}."
        )
    return list(found[0])


def beside(results: Sequence[Result], folder: str, baseline: str) -> list[dict[str, Any]]:
    """Every evaluation with its own difference to the baseline, where they share examples."""
    chosen = choose(results, baseline)
    rows = []
    for result in results:
        found = difference([result], chosen, folder)
        rows.append({**result, **{name: found[name] for name in DIFFERENCE if found}})
    return rows


def table(results: Sequence[Result], folder: str, baseline: str) -> str:
    """The differences as a Markdown table, seeds of one config in one row."""
    chosen = choose(results, baseline)
    others = [group for group in report.by_seed(results) if list(group) != chosen]
    found = [difference(group, chosen, folder) for group in others]
    return report.markdown(HEADER, [report.comparison_row(line) for line in found if line])


def difference(left: Sequence[Result], right: Sequence[Result], folder: str) -> dict[str, Any]:
    """NLL of `left` minus that of `right` as `compare` has it; nothing for other examples."""
    if any(left[0][name] != right[0][name] for name in SAME):
        return {}
    title = f"{named(left)} - {named(right)}"
    return compare(arrays(left, folder), arrays(right, folder), title, NUM_RESAMPLES)


def arrays(group: Sequence[Result], folder: str) -> list[str]:
    """The files with the NLLs of examples."""
    return [str(pathlib.Path(folder) / f"{result['file']}.npz") for result in group]


def named(group: Sequence[Result]) -> str:
    """The first file's name, and how many seeds there are."""
    seeds = f" ({len(group)} seeds)" if len(group) > 1 else ""
    return group[0]["file"] + seeds
