import logging

import jax
import numpy as np
import pytest
from ssm_models import LAYERS, B, D, T, keys, make, make_batch, variables

from rlvm.jobs import config as configs
from rlvm.jobs.fit import fit as fit_config
from rlvm.models.ssm import fit

LENGTHS = np.array([4, 2, 3])


def arrays_config(**overrides):
    return configs.load("ssm/arrays", **overrides)


def real_sequences():
    """[3, 4, 2] with padding of 1e9 and one missing value; the second dimension is constant."""
    x = np.random.default_rng(0).normal(30.0, 4.0, (3, 4, 2)).astype(np.float32)
    x[..., 1] = 5.0
    x[np.arange(4) >= LENGTHS[:, None]] = 1e9
    x[0, 0, 0] = np.nan
    return {"x": x, "lengths": LENGTHS}


def test_real_data_make_a_gaussian_in_their_units(caplog):
    data = real_sequences()
    with caplog.at_level(logging.INFO):
        model = fit(arrays_config().model, "real", data)
    seen = np.concatenate([data["x"][i, :n] for i, n in enumerate(LENGTHS)])[1:, 0].astype(float)
    assert model.emission.kind == "gaussian"
    assert "Gaussian" in caplog.text
    np.testing.assert_allclose(model.observation_mean, [seen.mean(), 5.0])
    np.testing.assert_allclose(model.observation_scale, [seen.std(), 1.0])
    np.testing.assert_allclose(model.emission.scale, [seen.std() / 2, 0.5])


def test_binary_data_make_a_bernoulli_and_a_choice_is_kept(caplog):
    with caplog.at_level(logging.INFO):
        model = fit(arrays_config().model, "binary", {"x": np.zeros((2, 3, 1), np.uint8)})
    assert model.emission.kind == "bernoulli"
    assert "Bernoulli" in caplog.text
    chosen = arrays_config(**{"model.emission_from_data": False}).model
    assert fit(chosen, "binary", real_sequences()) is chosen


def test_a_dimension_never_seen_is_an_error():
    data = real_sequences()
    data["x"][..., 1] = np.nan
    with pytest.raises(ValueError, match="Dimension 1 of x is missing"):
        fit(arrays_config().model, "real", data)


def test_the_job_fits_models_that_can_and_leaves_the_others():
    from rlvm.data.dataset import Dataset

    data = Dataset("made", {"train": real_sequences()}, {}, "real", False)
    config = arrays_config()
    fitted = fit_config(config, data)
    assert config.model.observation_mean == (0.0,)
    assert len(fitted.model.observation_mean) == 2
    assert {**fitted.to_dict(), "model": 0} == {**config.to_dict(), "model": 0}
    darn = configs.load("darn/connect4")
    assert fit_config(darn, data) is darn


def test_standardising_changes_units_and_nothing_else():
    """log p(a + b x) under units (a, b) and scale b s = log p(x) under units (0, 1) - log b."""
    shift, unit = np.array([3.0, -1.0, 0.5]), np.array([2.0, 0.1, 1.0])
    plain = make(emission={**LAYERS, "kind": "gaussian", "scale": (0.5,) * D})
    moved = make(
        emission={**LAYERS, "kind": "gaussian", "scale": tuple(0.5 * unit)},
        observation_mean=tuple(shift),
        observation_scale=tuple(unit),
    )
    batch = make_batch(binary=False)
    params = variables(plain, batch)

    @jax.jit
    def parts(x_plain, x_moved):
        found = []
        for model, x in ((plain, x_plain), (moved, x_moved)):
            bound, given = model.bind(params), {**batch, "x": x}
            path, rate = bound.sample_with_rate(given, keys(B))
            found.append((rate, bound.likelihood(path, given).log_prob(x)))
        return found

    (rate, log_p), (rate_moved, log_p_moved) = parts(batch["x"], shift + unit * batch["x"])
    np.testing.assert_allclose(rate_moved, rate, rtol=1e-3)
    np.testing.assert_allclose(log_p_moved, log_p - T * np.log(unit).sum(), rtol=1e-3)
