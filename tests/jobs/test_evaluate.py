"""Evaluation and samples of a trained workdir."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from rlvm.jobs import evaluate as job
from rlvm.jobs import sample as sampling
from rlvm.jobs.evaluate import Request, evaluate, interval
from rlvm.jobs.load import load
from rlvm.training import metrics


@pytest.fixture(scope="module")
def exact(trained, data_dir):
    return evaluate(trained, Request(estimator="exact"), data_dir)


def test_exact_agrees_with_the_model_and_the_record_says_what_it_is(trained, exact, own_file):
    result, nll = exact[0], exact[1]["nll"]
    test = np.load(own_file)["test"]
    model = load(trained)
    x = jnp.asarray(test, jnp.float32)
    h = ((np.arange(8)[:, None] >> np.arange(3)) & 1).astype(np.float32)
    joint = [
        np.float64(model.likelihood(jnp.tile(v, (len(x), 1)), x).log_prob(x))
        + float(model.prior().log_prob(jnp.asarray(v)))
        for v in h
    ]
    np.testing.assert_allclose(nll, -np.logaddexp.reduce(joint), rtol=1e-5)
    assert result["nll_nats"] == pytest.approx(nll.mean())
    assert result["nll_nats_test_se"] == pytest.approx(nll.std(ddof=1) / np.sqrt(len(nll)))
    assert result["bits_per_dim"] == pytest.approx(nll.mean() / np.log(2) / 10)
    assert result["distortion_nats"] + result["rate_nats"] == pytest.approx(result["bound_nats"])
    assert (result["num_examples"], result["repeats"], result["num_samples"]) == (15, 1, None)
    assert result["checkpoint"] == f"best:{result['step']}" and result["nll_nats_mc95"] is None
    assert metrics.validate(result) is result


def test_importance_lies_between_exact_and_bound(trained, exact, data_dir):
    request = Request(estimator="importance", num_samples=200, repeats=3)
    result, per_example = evaluate(trained, request, data_dir)
    assert per_example["nll"].shape == (15,)
    assert abs(result["nll_nats"] - exact[0]["nll_nats"]) < 0.05
    assert exact[0]["nll_nats"] - 0.05 < result["extra"]["nll_nats_tenth_of_samples"]
    assert result["nll_nats"] < result["bound_nats"]
    low, high = result["nll_nats_mc95"]
    assert low < result["nll_nats"] < high


def test_bound_on_a_limited_split_and_another_checkpoint(trained, data_dir):
    request = Request(split="valid", repeats=2, limit=5, checkpoint="latest")
    result, per_example = evaluate(trained, request, data_dir)
    nll = per_example["nll"]
    assert (result["num_examples"], result["repeats"]) == (5, 2) and nll.shape == (5,)
    assert result["nll_nats"] is None and result["checkpoint"].endswith(":12")
    assert nll.mean() == pytest.approx(result["bound_nats"])


def test_batches_change_nothing(trained, data_dir, monkeypatch):
    request = Request(estimator="importance", num_samples=20, repeats=1)
    _, whole = evaluate(trained, request, data_dir)
    monkeypatch.setattr(job, "BATCH_SIZE", 4)
    _, parts = evaluate(trained, request, data_dir)
    np.testing.assert_allclose(whole["nll"], parts["nll"], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "tset"}, "has no split 'tset'. Splits: .*test"),
        ({"estimator": "exacct"}, "No estimator 'exacct'. Estimators: bound, exact, importance"),
        ({"checkpoint": "77"}, "No checkpoint '77'. Checkpoints: "),
    ],
)
def test_mistakes_are_one_clear_error(trained, data_dir, change, message):
    with pytest.raises(ValueError, match=message):
        evaluate(trained, dataclasses.replace(Request(), **change), data_dir)


def test_a_folder_that_is_no_workdir(tmp_path):
    with pytest.raises(ValueError, match=r"is no workdir: it has no config.json"):
        load(tmp_path)


def test_absurd_exact_sums_are_refused_without_a_limit(trained, data_dir, monkeypatch):
    monkeypatch.setattr(job, "SOFTPLUS_PER_SECOND", 1e-3)
    with pytest.raises(ValueError, match=r"would take about .* hours; pass --limit=N"):
        evaluate(trained, Request(estimator="exact"), data_dir)
    result, _ = evaluate(trained, Request(estimator="exact", limit=2), data_dir)
    assert result["num_examples"] == 2


def test_interval_is_students():
    """Mean 2, standard deviation 1, n = 3: 2 +- 4.302653 / sqrt(3)."""
    assert interval(np.array([1.0, 2.0, 3.0])) == pytest.approx([2 - 2.484138, 2 + 2.484138])
    assert interval(np.array([1.0])) is None


def test_samples_and_their_nearest_rows(trained, data_dir, own_file):
    arrays = sampling.sample(trained, 6, seed=1, data_dir=data_dir)
    assert arrays["samples"].shape == (6, 10) and set(np.unique(arrays["samples"])) <= {0, 1}
    train = np.load(own_file)["train"].astype(float)
    for draw, nearest in zip(arrays["samples"], arrays["nearest_train"], strict=True):
        distances = ((train - draw) ** 2).sum(1)
        assert ((nearest - draw) ** 2).sum() == distances.min()
        assert (train == nearest).all(1).any()


def test_a_loaded_model_has_its_three_distributions_and_a_likelihood(trained, exact, own_file):
    model, x = load(trained), np.load(own_file)["test"]
    estimate = np.asarray(model.log_prob(x, num_samples=2000))
    assert np.abs(-estimate - exact[1]["nll"]).max() < 0.1
    assert model.posterior(x).log_prob(jnp.zeros((15, 3))).shape == (15,)
    assert model.sample(4).shape == (4, 10)
