"""Tables of what only state-space models are asked: drawn digits and conditioning gaps."""

import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rlvm.jobs import report

Line = Mapping[str, Any]

DIGITS = ("data set", "model", "updates", "KL(digits, uniform)", "of real test images", "CNN")
GAPS = (
    "data set",
    "posterior",
    "bound",
    "importance",
    "filter",
    "guided filter",
    "log p - ELBO",
    "bound, full refit",
    "refit difference",
)
EVIDENCES = ("bound", "importance", "particle_filter", "guided_filter")


def tables(path: str) -> list[str]:
    """The tables of `digits.jsonl` and `gaps.jsonl` beside a results file, those there are."""
    made = [("digits.jsonl", DIGITS, digits_row), ("gaps.jsonl", GAPS, gap_row)]
    found = [(read(path, name), header, row) for name, header, row in made]
    return [report.markdown(header, map(row, lines)) for lines, header, row in found if lines]


def read(path: str, name: str) -> Sequence[Line]:
    """The JSON lines of a file beside a results file, none where it is not there."""
    file = pathlib.Path(path).with_name(name)
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def digits_row(line: Line) -> Iterable[str]:
    """What `launch/digits.py` measured, as cells."""
    return [
        line["dataset"],
        report.label(line),
        f"{line['step']:,}",
        f"{line['classes_kl_nats']:.4f}, n = {line['num_samples']:,}",
        f"{line['classes_kl_nats_of_test']:.4f}",
        f"{line['classifier_test_accuracy']:.2%}",
    ]


def gap_row(line: Line) -> Iterable[str]:
    """What `launch/gap.py` measured, as cells: log p, not minus log p."""
    return [
        line["dataset"],
        report.label(line),
        *[f"{line[f'{name}_nats']:.2f}" for name in EVIDENCES],
        f"{line['log_p_minus_elbo_nats']:.2f}",
        f"{line['refit_bound_nats']:.2f}",
        f"{line['refit_difference_nats']:+.2f}",
    ]
