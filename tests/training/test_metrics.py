"""The evaluation schema and the log of a run."""

import json

import pytest
from etils import epath

from rlvm.training import metrics

GOOD = {
    "schema": metrics.SCHEMA,
    "dataset": "connect4",
    "split": "test",
    "data_sha256": "ab",
    "model": "darn",
    "config": {"seed": 0},
    "config_sha256": "cd",
    "seed": 0,
    "step": 10,
    "checkpoint": "best:10",
    "params": 100,
    "estimator": "importance",
    "num_examples": 5,
    "num_steps": None,
    "num_samples": 100,
    "repeats": 2,
    "nll_nats": 11.9,
    "nll_nats_mc95": [11.8, 12.0],
    "nll_nats_test_se": 0.1,
    "bound_nats": 12.5,
    "distortion_nats": 10.0,
    "rate_nats": 2.5,
    "bits_per_dim": 0.1,
    "nll_nats_per_step": None,
    "bound_nats_per_step": None,
    "extra": {},
    "seconds": 1.5,
    "train_seconds": 12,
    "hardware": "1 x cpu",
    "commit": None,
    "versions": {"jax": "0"},
}


def test_a_good_result_is_returned():
    assert metrics.validate(GOOD) is GOOD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "v0"}, "schema is 'v0'; expected 'rlvm-evaluation-v1'"),
        ({"nll": 1.0}, r"missing or unknown fields \['nll'\]"),
        ({"step": 1.5}, "Evaluation field 'step' is 1.5"),
        ({"step": True}, "Evaluation field 'step' is True"),
        ({"model": None}, "Evaluation field 'model' is None"),
        ({"nll_nats": float("nan")}, "'nll_nats' is nan; expected a finite number"),
        ({"nll_nats": "11"}, "Evaluation field 'nll_nats' is '11'"),
        ({"config": "seed: 0"}, "Evaluation field 'config'"),
    ],
)
def test_bad_results_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        metrics.validate({**GOOD, **change})


def test_a_missing_field_is_named():
    result = {name: value for name, value in GOOD.items() if name != "commit"}
    with pytest.raises(ValueError, match="commit"):
        metrics.validate(result)


def test_bits_per_dim():
    assert metrics.bits_per_dim(2.0 * 0.6931471805599453 * 7, 7) == pytest.approx(2.0)


def test_log_appends_resumes_and_drops_what_was_undone(tmp_path):
    folder = epath.Path(tmp_path)
    log = metrics.Log(folder, 0)
    assert log.seconds == 0
    for step in (10, 20, 30):
        log.write(step, step / 10, {"train/loss": float(step)})
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "sec')  # a kill in the middle of a line
    assert [line["step"] for line in metrics.read(folder)] == [10, 20, 30]
    resumed = metrics.Log(folder, 20)
    assert resumed.seconds == 2.0
    resumed.write(25, 2.5, {"train/loss": 1.0})
    resumed.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 25]
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_reading_an_empty_folder(tmp_path):
    assert metrics.read(tmp_path) == []
