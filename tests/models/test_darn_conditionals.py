"""DARN with NADE or EoNADE in its prior and decoder, and with a linear decoder."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import binary_vectors

from rlvm.inference import likelihood, objectives
from rlvm.jobs import config as configs
from rlvm.models.darn import DARN

KINDS = {
    "nade": dict(prior_nade=3, visible_nade=4),
    "eonade": dict(prior_nade=3, visible_nade=4, orderings=2),
    "linear_decoder": dict(linear_decoder=True, autoregressive_visibles=False),
    "deep_nade": dict(prior_nade=2, stochastic_units=(2, 2), widths=((3,), (2,)), skip=True),
}


def bound_model(kind):
    shape = {"stochastic_units": (3,), "widths": ((3,),), **KINDS[kind]}
    module = DARN(data_dim=4, **shape)
    return module.bind(random_params(module))


def random_params(module):
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), {"x": jnp.zeros((1, 4))}))
    draw = np.random.default_rng(0)
    return jax.tree.map(lambda s: jnp.asarray(draw.normal(0, 1, s.shape), jnp.float32), shapes)


@pytest.mark.parametrize("kind", KINDS)
def test_prior_and_decoder_sum_to_one_and_exact_is_their_sum(kind):
    model, units = bound_model(kind), sum(bound_model(kind).stochastic_units)
    h, x = (jnp.asarray(binary_vectors(n), jnp.float32) for n in (units, 4))
    batch = {"x": x, "mask": jnp.ones(16)}
    log_prior = model.prior(batch).log_prob(h)
    joint = [log_prior[k] + model.likelihood(h[k][None], batch).log_prob(x) for k in range(len(h))]
    assert float(jnp.exp(log_prior).sum()) == pytest.approx(1, abs=1e-5)
    log_p = jax.nn.logsumexp(jnp.stack(joint), axis=0)
    assert float(jnp.exp(log_p).sum()) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(-likelihood.exact(model, batch, units), log_p, rtol=1e-4)


@pytest.mark.parametrize("kind", ["nade", "eonade"])
def test_every_conditional_gets_a_gradient(kind):
    model = bound_model(kind)
    module, params = model.unbind()
    objective = objectives.make(configs.base().objective, module)
    batch = {"x": jnp.asarray(binary_vectors(4), jnp.float32), "mask": jnp.ones(16), "step": 0}
    keys = jax.random.split(jax.random.key(0), 16)
    grads = jax.grad(lambda p: objective(p, {}, batch, keys)[0])(params["params"])
    assert all(float(jnp.abs(g).max()) > 0 for g in jax.tree.leaves(grads))


def test_a_linear_decoder_has_no_tanh_layer():
    params = bound_model("linear_decoder").variables["params"]
    assert "MLP_0" in params["encoders_0"]
    assert params["visibles"].keys() == {"Dense_0"}


def order_nlls(model, x):
    """-log p_o(x) under every order of the units, from the conditionals of known subsets."""
    total = np.zeros((6, len(x)))
    for k, order in enumerate(itertools.permutations(range(3))):
        for d, unit in enumerate(order):
            known = np.zeros((len(x), 3), np.float32)
            known[:, order[:d]] = 1
            logit = np.asarray(model.masked_logits(x, known), np.float64)[:, unit]
            total[k] += np.logaddexp(0, logit) - np.asarray(x)[:, unit] * logit
    return total


def test_order_agnostic_loss_is_the_mean_over_orders():
    from rlvm.models.nade import EoNADE

    module, x = EoNADE(3, 2, 1), jnp.asarray(binary_vectors(3), jnp.float32)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), {"x": x}))
    draw = np.random.default_rng(1)
    params = jax.tree.map(lambda s: jnp.asarray(draw.normal(0, 2, s.shape), jnp.float32), shapes)
    expected = order_nlls(module.bind(params), x).mean(axis=0)
    config = configs.base().objective
    config.name = "order_agnostic"
    objective = objectives.make(config, module)
    tiled = {"x": jnp.repeat(x, 4000, axis=0), "mask": jnp.ones(32_000), "step": 0}
    keys = jax.random.split(jax.random.key(2), 32_000)
    _, (_, terms) = objective(params["params"], {}, tiled, keys)
    nll = np.asarray(terms["nll"]).reshape(8, 4000)
    error = (nll.mean(axis=1) - expected) / (nll.std(axis=1) / np.sqrt(4000))
    assert np.abs(error).max() < 4
    assert np.ptp(expected) > 1


def test_input_dropout_hides_earlier_visibles_in_training_alone():
    shape = dict(stochastic_units=(2,), widths=((3,),), input_dropout=0.5)
    module = DARN(data_dim=4, **shape)
    x = jnp.tile(jnp.asarray(binary_vectors(4)[[13]], jnp.float32), (4000, 1))
    batch, z = {"x": x, "mask": jnp.ones(4000)}, jnp.zeros((4000, 2))
    params = random_params(module)
    keys = jax.random.split(jax.random.key(0), 4000)
    evaluated = module.bind(params).likelihood(z, batch)
    trained = module.bind(params).likelihood(z, {**batch, "dropout": keys})
    assert evaluated.seen is None
    assert set(np.unique(trained.seen)) == {0.0, 2.0}
    np.testing.assert_allclose(trained.seen.mean(0), np.ones(4), atol=0.07)
    shown = np.asarray(x * trained.seen, np.float64) @ np.asarray(evaluated.kernel)
    logits = np.asarray(evaluated.logits) + shown
    expected = np.sum(np.asarray(x) * logits - np.logaddexp(0, logits), axis=-1)
    np.testing.assert_allclose(trained.log_prob(x), expected, rtol=1e-4, atol=1e-4)
    assert np.std(expected) > 0.1
