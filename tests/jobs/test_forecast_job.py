import json

import numpy as np
import pytest

from rlvm.jobs import config as configs
from rlvm.jobs import evaluate, forecast_figures
from rlvm.jobs import forecast as job
from rlvm.jobs.train import train

STEPS = 8


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny model of ramps with noise, some of whose values are missing, and its folders."""
    folder = tmp_path_factory.mktemp("forecast")
    rng = np.random.default_rng(0)
    x = np.arange(STEPS)[None, :, None] + rng.normal(size=(40, STEPS, 1))
    x[3, 5] = np.nan
    lengths = np.full(40, STEPS)
    lengths[:2] = 3
    np.savez(
        folder / "ramps.npz",
        train=x.astype(np.float32),
        test=x[:10].astype(np.float32),
        train_lengths=lengths,
        test_lengths=lengths[:10],
    )
    config = configs.module("ssm/arrays").tiny().copy_and_resolve_references()
    config.data.path = str(folder / "ramps.npz")
    config.train.update(num_steps=2, eval_every=2, batch_size=8, steps_per_dispatch=2)
    train(config, folder / "work", data_dir=folder / "data")
    return folder


def test_forecast_scores_what_was_observed_after_the_prefix(run):
    request = job.Request(prefix=3, num_samples=6, num_particles=10)
    scores, arrays = job.forecast(run / "work", request, data_dir=run / "data")
    assert json.loads(json.dumps(scores))["num_sequences"] == 8  # two end with the prefix
    assert arrays["prefix"].shape == (8, 3, 1)
    assert arrays["samples"].shape == (6, 8, STEPS - 3, 1)
    samples, truth = arrays["samples"].astype(float), arrays["truth"]
    pairs = np.abs(samples[:, None] - samples[None]).sum(axis=(0, 1)) / (6 * 5 * 2)
    crps = np.abs(samples - truth).mean(axis=0) - pairs
    assert np.isnan(crps).sum() == 1
    np.testing.assert_allclose(scores["crps"], np.nanmean(crps), rtol=1e-6)
    assert 0.0 <= scores["coverage_50"] <= scores["coverage_90"] <= 1.0
    assert np.isfinite(scores["final_log_density_nats"])
    again, _ = job.forecast(run / "work", request, data_dir=run / "data")
    assert again == scores


def test_forecast_is_written_and_drawn(run):
    request = job.Request(prefix=3, num_samples=6, num_particles=10)
    _, arrays = job.forecast(run / "work", request, data_dir=run / "data")
    job.save(arrays, str(run / "out" / "F.npz"))
    with np.load(run / "out" / "F.npz") as written:
        assert set(written) == {"prefix", "samples", "truth"}
    read = forecast_figures.load(str(run / "out" / "F.npz"))
    forecast_figures.draw_futures({"a": read, "b": arrays}, str(run / "out" / "F.png"))
    forecast_figures.draw_final_positions({"a": read, "b": arrays}, str(run / "out" / "G.png"))
    for name in ("F.png", "G.png"):
        assert (run / "out" / name).stat().st_size > 1000


def test_forecast_errors(run):
    for prefix, message in [(0, "expected 1 to 7"), (8, "expected 1 to 7")]:
        with pytest.raises(ValueError, match=message):
            job.forecast(run / "work", job.Request(prefix=prefix), data_dir=run / "data")
    with pytest.raises(ValueError, match="longer than the prefix of 2"):
        job.longer_than({"x": np.zeros((2, 4, 1)), "lengths": np.array([1, 2])}, 2)


def test_last_position_is_each_sequences_own():
    rng = np.random.default_rng(1)
    samples = rng.normal(size=(5000, 3, 4, 1)) + 10.0 * np.arange(4)[:, None]
    truth = np.full((3, 4, 1), np.nan)
    truth[0, :2], truth[1, :] = 10.0, 30.0  # the third has no future
    found = job.final_log_density(samples, truth, ~np.isnan(truth))
    np.testing.assert_allclose(found, -0.5 * np.log(2 * np.pi), atol=0.05)
    assert job.final_log_density(samples, truth[2:], ~np.isnan(truth[2:])) is None


def test_evidence_by_particle_filter_is_above_the_bound(run):
    request = evaluate.Request(estimator="particle_filter", num_samples=500, repeats=2)
    filtered, per_example = evaluate.evaluate(run / "work", request, data_dir=run / "data")
    assert filtered["num_samples"] == 500
    assert filtered["num_steps"] == 2 * 3 + 8 * STEPS
    per_step = filtered["nll_nats"] * 10 / filtered["num_steps"]
    np.testing.assert_allclose(filtered["nll_nats_per_step"], per_step)
    np.testing.assert_allclose(per_example["nll"].mean(), filtered["nll_nats"], rtol=1e-6)
    bound = evaluate.Request(estimator="bound", repeats=2)
    result, _ = evaluate.evaluate(run / "work", bound, data_dir=run / "data")
    assert filtered["nll_nats"] < result["bound_nats"]  # untrained: the bound is loose
    with pytest.raises(ValueError, match="exact needs a model of binary units"):
        evaluate.evaluate(run / "work", evaluate.Request(estimator="exact"), data_dir=run / "data")
