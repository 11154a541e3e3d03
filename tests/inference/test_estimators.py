"""Gradient estimators against closed forms and against enumerated gradients."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from networks import DATA_DIM, Reference, batch_of, binary_vectors, network

from rlvm.inference import objectives
from rlvm.inference.estimators import (
    SURROGATES,
    darn,
    detached,
    leave_one_out_bound,
    leave_one_out_mean,
    straight_through,
)
from rlvm.models import autoregressive
from rlvm.models.autoregressive import AutoregressiveBernoulli

LOGITS = np.array([-2.0, -0.4, 0.0, 0.7, 3.0])


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def expected_gradient(surrogate, f, logit):
    """E over the unit of the surrogate's gradient of f(h) in the logit: both outcomes are fed."""

    def gradient(noise):
        return jax.grad(lambda a: f(surrogate(a, jnp.float32(noise))))(jnp.float32(logit))

    q = sigmoid(logit)
    return q * float(gradient(0.0)) + (1 - q) * float(gradient(1.0))  # noise 0: h = 1


@pytest.mark.parametrize("logit", LOGITS)
@pytest.mark.parametrize("power", [1, 2, 3, 4])
def test_eq_24_bias_on_monomials(power, logit):
    """Its bias in q is k/2 - 1 for h^k: none for linear and quadratic, 1/2 for cubic."""
    q = sigmoid(logit)
    bias = 0.0 if power == 1 else power / 2 - 1
    value = expected_gradient(darn, lambda h: 1.7 * h**power, logit) / (q * (1 - q))
    assert value == pytest.approx(1.7 * (1 + bias), rel=1e-4)


@pytest.mark.parametrize("logit", LOGITS)
def test_straight_through_bias_on_a_quadratic(logit):
    """Exact on the linear part; c_2 (2q - 1) on the quadratic."""
    q, c1, c2 = sigmoid(logit), 0.8, -1.3
    value = expected_gradient(straight_through, lambda h: c1 * h + c2 * h**2, logit)
    assert value / (q * (1 - q)) == pytest.approx(c1 + c2 + c2 * (2 * q - 1), rel=1e-4)


def test_detached_draws_the_same_without_a_gradient():
    noise = jnp.asarray([0.1, 0.5, 0.9])
    logits = jnp.asarray([0.3, -0.2, 2.0])
    np.testing.assert_array_equal(detached(logits, noise), darn(logits, noise))
    assert not np.any(jax.grad(lambda a: detached(a, noise).sum())(logits))


@pytest.mark.parametrize("logit", LOGITS)
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_reinforce_with_the_first_order_baseline_is_eq_24_sample_by_sample(noise, logit):
    """b(h) = f(h) + f'(h)(1/2 - h) (eqs. 19, 20): (f - b) d log q / da = f'(h)(1 - q(h)) / 2."""

    def f(h):
        return jnp.sin(2 * h) + h**3 - 0.4 * h

    a, u = jnp.float32(logit), jnp.float32(noise)
    h = detached(a, u)
    baseline = f(h) + jax.grad(f)(h) * (0.5 - h)
    score = jax.grad(lambda a: h * a - jax.nn.softplus(a))(a)
    eq_24 = jax.grad(lambda a: f(darn(a, u)))(a)
    assert float((f(h) - baseline) * score) == pytest.approx(float(eq_24), rel=1e-4, abs=1e-6)


def test_eq_24_is_unbiased_for_multiquadratic_functions_of_factorial_units():
    logits = jnp.asarray([0.4, -1.1, 0.6])

    def f(h):
        return 2 * h[0] * h[1] * h[2] - h[0] ** 2 * h[1] + 0.7 * h[0] ** 2 * h[2] ** 2

    h = jnp.asarray(binary_vectors(3), jnp.float32)

    def expected(a):
        return jnp.sum(jax.vmap(f)(h) * jnp.exp(AutoregressiveBernoulli(a).log_prob(h)))

    one = jax.grad(lambda a, noise: f(darn(a, noise)))
    weights = jnp.exp(AutoregressiveBernoulli(logits).log_prob(h))
    estimate = weights @ jax.vmap(one, (None, 0))(logits, 1 - h)
    np.testing.assert_allclose(estimate, jax.grad(expected)(logits), atol=1e-6)


def test_eq_24_through_an_autoregressive_encoder():
    """Logits 0.3 and -0.5 + 2 h1, F = 1.5 h1 - 2 h2 + h1 h2: true 1.437507, estimate 1.478404."""
    kernel, logits = jnp.asarray([[0.0, 2.0], [0.0, 0.0]]), jnp.asarray([0.3, -0.5])
    h = jnp.asarray(binary_vectors(2), jnp.float32)

    def f(h):
        return 1.5 * h[..., 0] - 2 * h[..., 1] + h[..., 0] * h[..., 1]

    def probabilities(a):
        return jnp.exp(AutoregressiveBernoulli(a, kernel).log_prob(h))

    def draw(a, noise):
        return f(AutoregressiveBernoulli(a, kernel).sample_from(darn, noise))

    in_q = 1 / (sigmoid(0.3) * (1 - sigmoid(0.3)))
    estimate = probabilities(logits) @ jax.vmap(jax.grad(draw), (None, 0))(logits, 1 - h)
    truth = jax.grad(lambda a: jnp.sum(probabilities(a) * f(h)))(logits)
    assert float(truth[0]) * in_q == pytest.approx(1.437507, abs=2e-6)
    assert float(estimate[0]) * in_q == pytest.approx(1.478404, abs=2e-6)
    assert float(estimate[1]) == pytest.approx(float(truth[1]), abs=1e-6)


def test_leave_one_out_baselines():
    values = np.random.default_rng(0).normal(size=(4, 3))
    mean, bound = leave_one_out_mean(jnp.asarray(values)), leave_one_out_bound(jnp.asarray(values))
    for k in range(4):
        others = np.delete(values, k, axis=0).mean(0)
        replaced = values.copy()
        replaced[k] = others
        np.testing.assert_allclose(mean[k], others, rtol=1e-5)
        np.testing.assert_allclose(bound[k], np.log(np.exp(replaced).mean(0)), rtol=1e-5)


# The whole objective on small networks -----------------------------------------------------------

X = binary_vectors(DATA_DIM)[11]
CASES = ["one_layer", "three_layers", "autoregressive_encoder"]


def objective_config(name, estimator, num_samples, warmup=0, free_bits=0.0):
    return ConfigDict(
        {
            "name": name,
            "estimator": estimator,
            "num_samples": num_samples,
            "kl_warmup_steps": warmup,
            "free_bits": free_bits,
        }
    )


def enumerated_estimate(monkeypatch, name, config):
    """E of the objective's gradient: every outcome of its S draws, weighted by its probability."""
    module, params = network(name)
    units = sum(module.stochastic_units)
    objective, samples = objectives.make(config, module), config.num_samples
    h = binary_vectors(units)
    outcomes = np.array(list(itertools.product(h, repeat=samples)))  # [N, S, units]
    log_q = np.array([Reference(module, params).log_q(v, X) for v in h])
    weights = np.exp(np.array(list(itertools.product(log_q, repeat=samples))).sum(1))
    keys = jax.random.split(jax.random.key(0), 1)

    def loss(params, drawn):
        noise = (1 - drawn)[:, None]  # uniform 0 draws a 1, uniform 1 draws a 0
        monkeypatch.setattr(autoregressive, "uniforms", lambda rng, units: noise)
        return objective(params, {}, batch_of(X[None]), keys)[0]

    gradients = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(params, jnp.float32(outcomes))
    return jax.tree.map(lambda g: np.tensordot(weights, np.float64(g), 1), gradients)


def enumerated_gradient(name, loss_of_lengths):
    """Gradient of a function of (q [H], f [H]) through the unit-by-unit reference."""
    module, params = network(name)
    h = jnp.float32(binary_vectors(sum(module.stochastic_units)))

    def loss(params):
        reference = Reference(module, params, jnp)
        q = jnp.exp(jax.vmap(lambda v: reference.log_q(v, jnp.float32(X)))(h))
        return loss_of_lengths(q, jax.vmap(lambda v: reference.lengths(v, jnp.float32(X)))(h))

    return jax.jit(jax.grad(loss))(params)


def assert_trees_close(ours, theirs, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), ours, theirs)


@pytest.mark.parametrize("name", CASES)
def test_reinforce_is_unbiased(monkeypatch, name):
    config = objective_config("description_length", "reinforce", 2)
    truth = enumerated_gradient(name, lambda q, f: jnp.sum(q * f))
    assert_trees_close(enumerated_estimate(monkeypatch, name, config), truth, atol=2e-5)


def test_reinforce_is_unbiased_while_the_rate_is_annealed(monkeypatch):
    """At step 0 of 4 the loss is distortion + rate / 4."""
    module, params = network("one_layer")
    h = jnp.float32(binary_vectors(3))

    def loss(params):
        reference, x = Reference(module, params, jnp), jnp.float32(X)
        log_q = jax.vmap(lambda v: reference.log_q(v, x))(h)
        log_p = jax.vmap(reference.log_prior)(h)
        distortion = -jax.vmap(lambda v: reference.log_likelihood(x, v))(h)
        return jnp.sum(jnp.exp(log_q) * (distortion + 0.25 * (log_q - log_p)))

    config = objective_config("description_length", "reinforce", 2, warmup=4)
    truth = jax.jit(jax.grad(loss))(params)
    assert_trees_close(enumerated_estimate(monkeypatch, "one_layer", config), truth, atol=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_vimco_is_unbiased_for_the_two_sample_bound(monkeypatch, name):
    config = objective_config("iwae", "vimco", 2)

    def bound(q, f):
        pairs = jnp.logaddexp(-f[:, None], -f[None]) - jnp.log(2)
        return -jnp.sum(q[:, None] * q[None] * pairs)

    truth = enumerated_gradient(name, bound)
    assert_trees_close(enumerated_estimate(monkeypatch, name, config), truth, atol=2e-5)


def relaxed_lengths(module, params, outcome, scale):
    """f along one draw whose units are h + scale (a - stop_gradient(a)): eq. 24 written out."""
    reference = Reference(module, params, jnp)
    x, layers, position = jnp.float32(X), [], 0
    for k, size in enumerate(module.stochastic_units):
        node, features = reference.encoder(k, x, layers)
        drawn = []
        for j in range(size):
            logit = reference.logits(node, features, [*drawn, *[0.0] * (size - j)])[j]
            h = outcome[position]
            slope = scale(h, jax.nn.sigmoid(jax.lax.stop_gradient(logit)))
            drawn.append(h + slope * (logit - jax.lax.stop_gradient(logit)))
            position += 1
        layers.append(jnp.stack(drawn))
    h = jnp.concatenate(layers)
    return reference.lengths(h, x)


SLOPES = {
    "darn": lambda h, q: jnp.where(h > 0, 1 - q, q) / 2,
    "straight_through": lambda h, q: q * (1 - q),
}


@pytest.mark.parametrize("estimator", SLOPES)
@pytest.mark.parametrize("name", CASES)
def test_surrogate_estimators_have_their_enumerated_expectation(monkeypatch, name, estimator):
    module, params = network(name)
    h = jnp.float32(binary_vectors(sum(module.stochastic_units)))
    gradient = jax.grad(lambda p, v: relaxed_lengths(module, p, v, SLOPES[estimator]))
    reference = Reference(module, params)
    weights = np.exp([reference.log_q(np.float64(v), X) for v in h])
    each = jax.jit(jax.vmap(gradient, (None, 0)))(params, h)
    truth = jax.tree.map(lambda g: np.tensordot(weights, np.float64(g), 1), each)
    config = objective_config("description_length", estimator, 1)
    assert_trees_close(enumerated_estimate(monkeypatch, name, config), truth, atol=2e-5)


def test_every_surrogate_thresholds_its_uniforms():
    logits, noise = jnp.asarray([0.3, -0.2, 2.0, 0.0]), jnp.asarray([0.1, 0.5, 0.9, 0.5])
    for surrogate in SURROGATES.values():
        np.testing.assert_array_equal(surrogate(logits, noise), [1, 0, 0, 0])
