"""Estimators of log p(x) against brute force in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import DATA_DIM, SHAPES, batch_of, binary_vectors, exact_table, network, reference

from rlvm.inference import likelihood
from rlvm.inference.activity import paired_covariance

X = binary_vectors(DATA_DIM)


def units_of(name):
    return sum(SHAPES[name]["stochastic_units"])


def exact(name, block=256):
    module, params = network(name)
    run = jax.jit(
        lambda p: likelihood.exact(module.bind({"params": p}), batch_of(X), units_of(name), block)
    )
    return -np.asarray(run(params), np.float64)


@functools.cache
def compiled(name, estimator, *options):
    """`estimator` of a network on all x, with repeats [R] of keys mapped over."""
    module, params = network(name)
    model = module.bind({"params": params})
    return jax.jit(jax.vmap(lambda keys: estimator(model, batch_of(X), keys, *options)))


def run(name, estimator, *options, repeats=1):
    """Each term [R, x] of an estimator for seeds 0 .. repeats - 1."""
    keys = jax.vmap(lambda r: jax.random.split(jax.random.key(r), len(X)))(jnp.arange(repeats))
    terms = compiled(name, estimator, *options)(keys)
    return {term: np.asarray(value, np.float64) for term, value in terms.items()}


def importance(name, num_samples, chunk, repeats=1):
    return run(name, likelihood.importance, num_samples, chunk, repeats=repeats)


def bound(name, num_samples):
    return run(name, likelihood.bound, num_samples)


@pytest.mark.parametrize("name", SHAPES)
def test_exact_equals_brute_force_and_sums_to_one(name):
    log_p = exact(name)
    np.testing.assert_allclose(log_p, exact_table(name), atol=1e-5)
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("block", [1, 2, 8])
def test_exact_is_the_same_in_any_blocks(block):
    np.testing.assert_allclose(exact("one_layer", block), exact_table("one_layer"), atol=1e-5)


def test_exact_refuses_more_than_sixteen_units():
    module, params = network("one_layer")
    with pytest.raises(ValueError, match=r"2\^17 latent vectors.*--estimator=importance"):
        likelihood.exact(module.bind({"params": params}), batch_of(X), 17)


def test_enumerate_bits():
    vectors = np.asarray(likelihood.enumerate_bits(jnp.int32(4), 4, 3))
    np.testing.assert_array_equal(vectors, [[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]])


@pytest.mark.parametrize("name", SHAPES)
def test_the_expected_bound_lies_above_minus_log_p(name):
    """E_q f by enumeration; the Monte Carlo bound agrees with it within its own error."""
    ref, vectors = reference(name), binary_vectors(units_of(name))
    lengths = np.array([[ref.lengths(h, x) for h in vectors] for x in X])
    q = np.exp([[ref.log_q(h, x) for h in vectors] for x in X])
    expected = (q * lengths).sum(1)
    assert np.all(expected >= -exact_table(name) - 1e-9)
    samples = 2000
    error = np.sqrt(((q * lengths**2).sum(1) - expected**2) / samples)
    ours = bound(name, samples)["description_length"]
    assert np.all(np.abs(ours - expected) < 5 * error + 1e-4)


def test_one_importance_sample_is_the_bound():
    single, draws = importance("three_layers", 1, 1), bound("three_layers", 1)
    np.testing.assert_allclose(single["nll"], draws["description_length"], rtol=1e-6)
    np.testing.assert_allclose(single["description_length"], draws["description_length"], rtol=1e-6)


def test_importance_sampling_decreases_to_exact():
    """Mean over x and 60 repeats falls with S and lands within 1e-3 of exact."""
    truth = -exact_table("one_layer").mean()
    means = [importance("one_layer", s, s, repeats=60)["nll"].mean() for s in (1, 4, 20)]
    means.append(importance("one_layer", 50_000, 1000)["nll"].mean())
    assert means[0] > means[1] > means[2] > truth - 1e-3
    assert means[3] == pytest.approx(truth, abs=1e-3)


def test_the_bias_of_importance_sampling_is_as_predicted():
    """E nll_S = -log p + Var(w) / (2 S p^2), here at S = 50 over all x, weighted equally."""
    ref, vectors, samples = reference("one_layer"), binary_vectors(3), 50
    q = np.exp([[ref.log_q(h, x) for h in vectors] for x in X])
    w = np.exp([[-ref.lengths(h, x) for h in vectors] for x in X])
    p = np.exp(exact_table("one_layer"))
    predicted = (((q * w**2).sum(1) - p**2) / (2 * samples * p**2)).mean()
    runs = importance("one_layer", samples, 10, repeats=100)["nll"].mean(1)
    measured, error = np.mean(runs) + exact_table("one_layer").mean(), np.std(runs) / 10
    assert predicted > 3 * error  # the test can see the bias
    assert measured == pytest.approx(predicted, abs=4 * error)


def test_chunks_do_not_change_importance_sampling():
    """The draws are numbered, so any chunk gives the same samples; S/10 uses the first of them."""
    whole, parts = importance("skip", 40, 40), importance("skip", 40, 8)
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(whole["nll_tenth"], importance("skip", 4, 4)["nll"], rtol=1e-5)


def test_paired_covariance_is_the_variance_of_posterior_means():
    """Against Var_x(q_j(x)) of a factorial encoder, over 16 x 500 examples."""
    name = "one_layer"
    module, params = network(name)
    x = np.repeat(X, 500, axis=0)
    vectors, ref = binary_vectors(3), reference(name)
    means = np.array([np.exp([ref.log_q(h, v) for h in vectors]) @ vectors for v in X])
    posterior = module.bind({"params": params}).posterior(batch_of(x))
    keys = jax.random.split(jax.random.key(0), len(x))
    mask = jnp.ones(len(x)).at[4000:].set(0)  # half of the x are padding
    measured = jax.jit(lambda k: paired_covariance(posterior, k, mask))(keys)
    np.testing.assert_allclose(measured, means[:8].var(0), atol=0.012)
