"""Objectives: their values against the second implementation, and their config errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from networks import DATA_DIM, batch_of, binary_vectors, network, reference

from rlvm.inference import objectives
from rlvm.inference.estimators import detached
from rlvm.models.fvsbn import FVSBN

X = binary_vectors(DATA_DIM)[[3, 8, 14]]


def config(**fields):
    default = {
        "name": "description_length",
        "estimator": "darn",
        "num_samples": 3,
        "kl_warmup_steps": 0,
        "free_bits": 0.0,
    }
    return ConfigDict({**default, **fields})


def keys(count=3):
    return jax.random.split(jax.random.key(7), count)


def drawn(name, rng, samples=3):
    """The draws z [S, B, units] that an objective makes from `rng`."""
    module, params = network(name)
    posterior = module.bind({"params": params}).posterior(batch_of(X))
    z, _ = posterior.sample_with(detached, objectives.sample_keys(rng, samples))
    return np.float64(z)


@functools.cache
def compiled(network_name, **fields):
    return jax.jit(objectives.make(config(**fields), network(network_name)[0]))


def run(network_name, step=0, **fields):
    batch = {**batch_of(X), "step": jnp.int32(step)}
    loss, (extra, terms) = compiled(network_name, **fields)(
        network(network_name)[1], {}, batch, keys()
    )
    assert extra == {}
    return float(loss), {k: np.asarray(v) for k, v in terms.items()}


@pytest.mark.parametrize("name", ["one_layer", "skip"])
def test_description_length_is_the_mean_code_length_of_its_draws(name):
    loss, terms = run(name)
    z, ref = drawn(name, keys()), reference(name)
    pairs = [[(h, x) for h, x in zip(row, X, strict=True)] for row in z]
    means = {
        "distortion": np.mean([[-ref.log_likelihood(x, h) for h, x in r] for r in pairs], 0),
        "prior_cost": np.mean([[-ref.log_prior(h) for h, x in r] for r in pairs], 0),
        "entropy": np.mean([[-ref.log_q(h, x) for h, x in r] for r in pairs], 0),
        "description_length": np.mean([[ref.lengths(h, x) for h, x in r] for r in pairs], 0),
    }
    means["rate"] = means["prior_cost"] - means["entropy"]
    assert set(terms) == set(means)
    for term, value in means.items():
        np.testing.assert_allclose(terms[term], value, rtol=1e-4, atol=1e-4, err_msg=term)
    assert loss == pytest.approx(means["description_length"].mean(), abs=1e-4)


@pytest.mark.parametrize("estimator", ["darn", "straight_through", "reinforce"])
def test_estimators_change_gradients_but_not_values(estimator):
    loss, terms = run("one_layer", estimator=estimator)
    base, base_terms = run("one_layer")
    assert loss == pytest.approx(base, rel=1e-6)
    np.testing.assert_allclose(terms["rate"], base_terms["rate"], rtol=1e-5)


@pytest.mark.parametrize("estimator", ["darn", "vimco"])
def test_iwae_is_the_log_mean_weight_of_its_draws(estimator):
    loss, terms = run("one_layer", name="iwae", estimator=estimator)
    lengths = np.array(
        [
            [reference("one_layer").lengths(h, x) for h, x in zip(row, X, strict=True)]
            for row in drawn("one_layer", keys())
        ]
    )
    bound = -np.log(np.exp(-lengths).mean(0))
    np.testing.assert_allclose(terms["iwae_bound"], bound, rtol=1e-5)
    assert loss == pytest.approx(bound.mean(), rel=1e-5)


def test_warmup_and_free_bits():
    """distortion + beta max(rate, free bits), beta = (step + 1) / kl_warmup_steps up to 1."""
    _, terms = run("one_layer")
    rate, distortion = terms["rate"], terms["distortion"]
    free = float(np.median(rate))
    for step, beta in [(0, 0.25), (2, 0.75), (3, 1.0), (50, 1.0)]:
        loss, _ = run("one_layer", step=step, kl_warmup_steps=4, free_bits=free)
        assert loss == pytest.approx(
            (distortion + beta * np.maximum(rate, free)).mean(), rel=1e-5
        ), step


def test_free_bits_silence_the_score_of_the_rate():
    terms = {"rate": jnp.asarray([0.5, 2.0])}
    slope = objectives.rate_slope(terms, config(free_bits=1.0, kl_warmup_steps=2), jnp.int32(0))
    np.testing.assert_allclose(slope, [0, 0.5])


def test_padding_changes_nothing():
    padded = batch_of(np.concatenate([X, np.full((2, DATA_DIM), np.nan)]))
    padded["mask"] = jnp.asarray([1.0, 1, 1, 0, 0])
    module, params = network("one_layer")
    objective = objectives.make(config(), module)
    rng = jax.random.split(jax.random.key(7), 5)
    whole, _ = jax.jit(objective)(params, {}, padded, rng)
    alone, _ = jax.jit(objective)(params, {}, batch_of(X), rng[:3])
    assert float(whole) == pytest.approx(float(alone), rel=1e-6)


def test_masked_mean_wants_one_value_per_example():
    with pytest.raises(ValueError, match=r"shape \(3, 2\); expected one value per example: \(3,\)"):
        objectives.masked_mean(jnp.zeros((3, 2)), jnp.ones(3))
    assert float(objectives.masked_mean(jnp.ones(3), jnp.zeros(3))) == 0


def test_negative_log_likelihood_of_a_density():
    model = FVSBN(data_dim=DATA_DIM)
    objective = objectives.make(config(name="negative_log_likelihood"), model)
    params = model.init(jax.random.key(0), batch_of(X))["params"]
    loss, (_, terms) = objective(params, {}, batch_of(X), keys())
    np.testing.assert_allclose(terms["nll"], DATA_DIM * np.log(2), rtol=1e-6)
    assert float(loss) == pytest.approx(DATA_DIM * np.log(2), rel=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "elbo"}, "No objective 'elbo'. Objectives: description_length, iwae, negative"),
        ({"estimator": "darm"}, "No estimator 'darm'. Estimators: darn, straight_through, "),
        (
            {"estimator": "vimco"},
            "'vimco' belongs to objective 'iwae', not to 'description_length'",
        ),
        ({"name": "iwae", "estimator": "reinforce"}, "belongs to objective 'description_length'"),
        ({"estimator": "reinforce", "num_samples": 1}, "num_samples is 1, expected at least 2"),
        ({"num_samples": 0}, "num_samples is 0; expected at least 1"),
        ({"name": "iwae", "kl_warmup_steps": 5}, "'iwae' has no rate to anneal"),
        ({"name": "negative_log_likelihood"}, "needs a Density; DARN is none"),
    ],
)
def test_config_errors_say_what_exists(fields, message):
    with pytest.raises(ValueError, match=message):
        objectives.make(config(**fields), network("one_layer")[0])


def test_a_density_has_no_description_length():
    with pytest.raises(ValueError, match="needs a LatentVariable; FVSBN is none"):
        objectives.make(config(), FVSBN(data_dim=3))
