"""Evaluations beside a baseline, paired example by example."""

import csv
import json

import numpy as np
import pytest

from rlvm.jobs import baseline, report


def write(folder, name, nll, seed=0, **changes):
    """An evaluation as `launch/evaluate.py --output` leaves it, with the fields that are read."""
    record = {
        "dataset": "d",
        "split": "test",
        "data_sha256": "ab",
        "config": {"seed": seed, "model": {"name": name[0]}},
        "seed": seed,
        "step": 4,
        "checkpoint": "best:4",
        "estimator": "exact",
        "num_examples": len(nll),
        "num_samples": None,
        "nll_nats": float(np.mean(nll)),
        "nll_nats_mc95": None,
        **changes,
    }
    (folder / f"{name}.json").write_text(json.dumps(record) + "\n")
    np.savez(folder / f"{name}.npz", nll=nll)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A base model, one of two seeds that differs by noise of mean 0.5, one of other examples."""
    monkeypatch.setattr(report, "validate", lambda record: record)
    draw = np.random.default_rng(0)
    base, noise = draw.normal(20, 5, 400), draw.normal(0.5, 1, 400)
    write(tmp_path, "base-4", base)
    write(tmp_path, "other-4", base + noise)
    write(tmp_path, "other-5", base + noise + 1, seed=1)
    write(tmp_path, "third-4", base, split="valid")
    return tmp_path, noise


def test_seeds_are_averaged_and_the_interval_is_of_the_paired_differences(folder):
    path, noise = folder
    rows = baseline.table(report.read_results(str(path)), str(path), "base").splitlines()
    assert len(rows) == 3, "the baseline itself and other examples have no row"
    title, mean, interval, by_seed, examples = (c.strip() for c in rows[2].split("|")[1:-1])
    assert title == "other-4 (2 seeds) - base-4" and examples == "400 in 400 clusters"
    assert float(mean) == pytest.approx(noise.mean() + 0.5, abs=0.005)
    low, high = (float(end) for end in interval.strip("[]").split(","))
    assert high - low == pytest.approx(2 * 1.96 * noise.std() / 20, rel=0.1)
    seeds = [float(value) for value in by_seed.split(",")]
    assert seeds[1] - seeds[0] == pytest.approx(1, abs=0.01)


def test_each_row_of_a_csv_has_its_own_difference(folder):
    path, noise = folder
    found = baseline.beside(report.read_results(str(path)), str(path), "base")
    report.write_csv(found, str(path / "all.csv"))
    with (path / "all.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert float(rows["base-4"]["difference_nats"]) == 0
    for name, mean in (("other-4", noise.mean()), ("other-5", noise.mean() + 1)):
        low, at, high = (
            float(rows[name][f"difference_nats{end}"]) for end in ("_95_low", "", "_95_high")
        )
        assert low < at < high and at == pytest.approx(mean)
    assert rows["third-4"]["difference_nats"] == rows["third-4"]["difference_nats_95_low"] == ""


def test_mistakes_are_one_clear_error(folder):
    path, _ = folder
    results = report.read_results(str(path))
    with pytest.raises(ValueError, match=r"--baseline=basis .* 0 evaluations; .* Files: base-4, "):
        baseline.choose(results, "basis")
    with pytest.raises(ValueError, match="begins the names of 3 evaluations"):
        baseline.choose(results, "")
    assert [result["file"] for result in baseline.choose(results, "other-5")] == [
        "other-4",
        "other-5",
    ]
    (path / "other-5.npz").unlink()
    with pytest.raises(ValueError, match=r"No file .*other-5.npz; launch/evaluate.py"):
        baseline.table(results, str(path), "base")
    with pytest.raises(ValueError, match="--baseline needs --results=FOLDER"):
        baseline.choose([{"dataset": "d"}], "base")
