import csv
import json

import pytest

from rlvm.jobs import report


def line(seed, bound, rate=7.0):
    """The fields of an evaluation that a table reads."""
    return {
        "dataset": "metr_la",
        "split": "test",
        "model": "ssm",
        "config": {"seed": seed, "model": {"conditioning": "semi"}},
        "seed": seed,
        "step": 40,
        "checkpoint": "best:40",
        "estimator": "bound",
        "num_examples": 9,
        "num_samples": None,
        "repeats": 10,
        "nll_nats": None,
        "nll_nats_mc95": None,
        "bound_nats": bound,
        "distortion_nats": bound - rate,
        "rate_nats": rate,
        "train_seconds": 60.0,
        "extra": {"active_units": 4},
    }


def test_seeds_of_one_config_are_one_row():
    rows = report.table([line(0, 80.0), line(1, 82.0)]).splitlines()
    assert len(rows) == 3
    cells = [cell.strip() for cell in rows[2].split("|")[1:-1]]
    assert cells[1:5] == [
        "SSM, semi",
        "",
        "bound, n = 9, mean of 2 seeds, 80.00 to 82.00",
        "81.00",
    ]
    other = line(1, 82.0)
    other["config"]["model"]["conditioning"] = "full"
    assert len(report.table([line(0, 80.0), other]).splitlines()) == 4


def test_checkpoints_of_one_run_are_no_seeds():
    best, late = line(0, 80.0), {**line(0, 81.0), "step": 60, "checkpoint": "latest:60"}
    later = {**late, "step": 80, "checkpoint": "latest:80"}
    other_seed = {**line(1, 80.0), "step": 20, "checkpoint": "best:20"}
    groups = report.by_seed([best, late, later, other_seed])
    assert groups == [[best, other_seed], [late], [later]]
    earlier_best = {**best, "step": 10, "checkpoint": "best:10"}
    assert report.by_seed([best, other_seed, earlier_best]) == [[best, other_seed], [earlier_best]]


def test_published_bounds_stand_below_the_measured_rows():
    published = [
        {"dataset": "metr_la", "model": name, "nll_nats": None, "bound_nats": bound}
        | {"source": "a paper", "recalled": False}
        for name, bound in (("B", 90.0), ("A", 85.0))
    ]
    rows = report.table([line(0, 99.0)], published).splitlines()[2:]
    assert [row.split("|")[2].strip() for row in rows] == ["SSM, semi", "A", "B"]


def test_comparisons_stand_below_the_table(tmp_path):
    stored = {
        "title": "partial - full",
        "difference_nats": 1.25,
        "difference_nats_95": [-0.5, 3.0],
        "by_seed": [1.0, 1.5],
        "num_examples": 90,
        "num_clusters": 9,
    }
    (tmp_path / "results.jsonl").write_text("")
    assert report.comparisons(str(tmp_path / "results.jsonl")) == ""
    (tmp_path / "comparisons.jsonl").write_text(json.dumps(stored) + "\n")
    cells = report.comparisons(str(tmp_path / "results.jsonl")).splitlines()[2].split("|")
    assert [cell.strip() for cell in cells[1:-1]] == [
        "partial - full",
        "+1.25",
        "[-0.50, +3.00]",
        "+1.00, +1.50",
        "90 in 9 clusters",
    ]


def test_a_folder_of_evaluations_as_csv(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "validate", lambda record: record)  # `line` has not every field
    for seed in (1, 0):
        (tmp_path / f"{seed}.json").write_text(json.dumps(line(seed, 80.0 + seed)) + "\n")
    report.write_csv(report.read_results(str(tmp_path)), str(tmp_path / "all.csv"))
    header, first, second = (tmp_path / "all.csv").read_text().splitlines()
    column = header.split(",").index("bound_nats")
    assert [row.split(",")[column] for row in (first, second)] == ["80.0", "81.0"]
    assert "config" not in header.split(",") and first.endswith(",0,,")


def test_an_interval_is_two_cells_of_a_csv(tmp_path):
    measured = {**line(0, 80.0), "nll_nats": 79.0, "nll_nats_mc95": [78.5, 79.5]}
    report.write_csv([line(1, 81.0), measured], str(tmp_path / "all.csv"))
    with (tmp_path / "all.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["nll_nats_mc95_low"], first["nll_nats_mc95_high"]) == ("", "")
    assert (second["nll_nats_mc95_low"], second["nll_nats_mc95_high"]) == ("78.5", "79.5")


def test_no_evaluations_is_one_line(tmp_path):
    for path in (tmp_path, tmp_path / "nothing.jsonl"):
        with pytest.raises(ValueError, match=r"No evaluations in .*; launch/evaluate.py --output"):
            report.read_results(str(path))
    for text in ("no json", "[1]", '{"schema": "rlvm-evaluation-v1"}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ValueError, match=r"bad.json holds a line that is no evaluation: "):
            report.read_results(str(tmp_path))


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        ("nade", {"hidden_units": 100, "orderings": 0}, "NADE, 100 hidden"),
        ("nade", {"hidden_units": 9, "orderings": 16}, "EoNADE, 16 orderings, 9 hidden"),
        ("mixture", {"components": 500}, "mixture of Bernoullis, K = 500"),
        ("rbm", {"hidden_units": 100}, "RBM, 100 hidden"),
    ],
)
def test_baselines_are_named_as_in_the_papers(model, fields, expected):
    assert report.label({"model": model, "config": {"model": fields}}) == expected


@pytest.mark.parametrize(
    ("fields", "objective", "expected"),
    [
        ({"linear_decoder": True}, {"shift": {}}, "fDARN, 2 x 3 latent, moved images"),
        ({"autoregressive_visibles": True}, {}, "DARN, 2 x 3 latent, autoregressive x"),
        (
            {"autoregressive_visibles": True, "visible_nade": 5},
            {},
            "DARN, 2 x 3 latent, NADE of 5 over x",
        ),
    ],
)
def test_darns_are_named_by_what_they_have(fields, objective, expected):
    config = {"model": {"stochastic_units": (3, 3), **fields}, "objective": objective}
    assert report.label({"model": "darn", "config": config}) == expected
