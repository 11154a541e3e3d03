"""Mixtures of Bernoullis: EM never makes them worse, and one step is EM by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from networks import binary_vectors

from rlvm.inference import objectives
from rlvm.models.mixture import MixtureOfBernoullis

SMOOTHING = 1e-3


def data(size=60, units=6):
    draw = np.random.default_rng(0)
    means = draw.uniform(0.05, 0.95, (3, units))
    x = draw.random((size, units)) < means[draw.integers(0, 3, size)]
    return {"x": jnp.asarray(x, jnp.float32), "mask": jnp.ones(size)}


def mixture(batch, components=3):
    model = MixtureOfBernoullis(batch["x"].shape[-1], components, SMOOTHING)
    return model, model.init(jax.random.key(1), batch)["params"]


def em_step(model):
    objective = objectives.make(ConfigDict({"name": "expectation_maximization"}), model)

    @jax.jit
    def step(params, batch):
        (loss, _), grads = jax.value_and_grad(objective, has_aux=True)(params, {}, batch, None)
        return loss, jax.tree.map(lambda p, g: p - g, params, grads)

    return step


def by_hand(x, share, ones):
    """One EM step in float64."""
    means = (ones + SMOOTHING) / (share[:, None] + 2 * SMOOTHING)
    likelihood = np.prod(np.where(x[:, None] == 1, means, 1 - means), axis=-1)
    joint = share * likelihood
    posterior = joint / joint.sum(1, keepdims=True)
    return -np.log(joint.sum(1)).mean(), posterior.mean(0), posterior.T @ x / len(x)


def penalized(model, params, batch):
    """Log likelihood + log prior: what EM climbs."""
    bound = model.bind({"params": params})
    means = bound.means()
    prior = SMOOTHING * jnp.sum(jnp.log(means) + jnp.log1p(-means))
    return float(jnp.mean(bound.log_prob(batch)) + prior)


def test_a_step_is_em_by_hand():
    batch = data()
    model, params = mixture(batch)
    loss, after = em_step(model)(params, batch)
    x, share, ones = (
        np.asarray(a, np.float64) for a in (batch["x"], params["share"], params["ones"])
    )
    nll, share, ones = by_hand(x, share, ones)
    assert float(loss) == pytest.approx(nll, rel=1e-5)
    np.testing.assert_allclose(after["share"], share, rtol=1e-5)
    np.testing.assert_allclose(after["ones"], ones, rtol=1e-4, atol=1e-6)


def test_em_is_monotone_and_learns():
    batch = data()
    model, params = mixture(batch)
    step, values = em_step(model), []
    for _ in range(40):
        values.append(penalized(model, params, batch))
        _, params = step(params, batch)
    assert np.diff(values).min() > -1e-6
    assert values[-1] - values[0] > 0.3
    assert float(params["share"].sum()) == pytest.approx(1, abs=1e-5)


def test_padding_has_no_part():
    batch = data()
    model, params = mixture(batch)
    padded = {"x": batch["x"], "mask": batch["mask"].at[20:].set(0.0)}
    cut = jax.tree.map(lambda v: v[:20], batch)
    for ours, theirs in zip(
        em_step(model)(params, padded), em_step(model)(params, cut), strict=True
    ):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), ours, theirs)


def test_sums_to_one_and_draws_have_its_frequencies():
    x = jnp.asarray(binary_vectors(3), jnp.float32)
    model, params = mixture({"x": x}, components=2)
    params = {"share": jnp.array([0.3, 0.7]), "ones": params["ones"] * jnp.array([[0.3], [1.2]])}
    bound = model.bind({"params": params})
    p = np.exp(bound.log_prob({"x": x}))
    assert p.sum() == pytest.approx(1, abs=1e-5)
    draws = np.asarray(bound.sample(jax.random.split(jax.random.key(0), 20_000)))
    counts = np.bincount((draws @ [4, 2, 1]).astype(int), minlength=8)
    assert np.sum((counts - 20_000 * p) ** 2 / (20_000 * p)) < 24.3  # chi2(7) at 1e-3
