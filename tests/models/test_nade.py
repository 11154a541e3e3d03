"""NADE and EoNADE against evaluation unit by unit, and against sums over all vectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import binary_vectors

from rlvm.inference.estimators import darn
from rlvm.models import nade
from rlvm.models.nade import NADE, EoNADE, NadeBernoulli, OrderingEnsemble

UNITS, HIDDEN = 5, 3


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def random_nade(known=True, lead=(), seed=0, units=UNITS):
    draw = np.random.default_rng(seed)
    shapes = [(*lead, units), (*lead, HIDDEN), (units, HIDDEN), (units, HIDDEN), (units, HIDDEN)]
    arrays = [jnp.asarray(draw.normal(0, 1, shape), jnp.float32) for shape in shapes]
    return NadeBernoulli(*(arrays if known else arrays[:4]))


def reference_log_prob(model, value, order):
    """log p(value), its units in `order`, one at a time in float64."""
    b, c, w, v = (
        np.asarray(a, np.float64) for a in (model.logits, model.hidden, model.kernel, model.readout)
    )
    known = np.zeros_like(w) if model.known is None else np.asarray(model.known, np.float64)
    hidden, total = c.copy(), 0.0
    for i in order:
        p = sigmoid(b[i] + v[i] @ sigmoid(hidden))
        total += np.log(p if value[i] else 1 - p)
        hidden += value[i] * w[i] + known[i]
    return total


def reference_draw(model, noise, order):
    """The draw of `noise`, its k-th uniform for the k-th unit of `order`."""
    b, c, w, v, known = (
        np.asarray(a, np.float64)
        for a in (model.logits, model.hidden, model.kernel, model.readout, model.known)
    )
    hidden, value = c.copy(), np.zeros(len(b))
    for u, i in zip(noise, order, strict=True):
        value[i] = float(u < sigmoid(b[i] + v[i] @ sigmoid(hidden)))
        hidden += value[i] * w[i] + known[i]
    return value


@pytest.mark.parametrize("block", [2, 16])
@pytest.mark.parametrize("known", [False, True])
def test_log_prob_equals_unit_by_unit(known, block, monkeypatch):
    monkeypatch.setattr(nade, "BLOCK", block)
    model, values = random_nade(known), binary_vectors(UNITS)
    expected = [reference_log_prob(model, value, range(UNITS)) for value in values]
    np.testing.assert_allclose(
        model.log_prob(jnp.asarray(values, jnp.float32)), expected, rtol=1e-5
    )
    assert np.exp(expected).sum() == pytest.approx(1)


def test_ensemble_is_the_mixture_over_its_orders():
    orders = nade.fixed_orders(3, UNITS)
    ensemble, values = OrderingEnsemble(random_nade(), orders), binary_vectors(UNITS)
    each = [[reference_log_prob(ensemble.nade, v, o) for v in values] for o in np.asarray(orders)]
    expected = np.log(np.mean(np.exp(each), axis=0))
    ours = ensemble.log_prob(jnp.asarray(values, jnp.float32))
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    assert not np.allclose(each[0], each[1], rtol=1e-3)


def test_draws_equal_unit_by_unit_in_order():
    model, order = random_nade(), np.array([3, 0, 4, 1, 2])
    noise = np.random.default_rng(1).random((20, UNITS))
    tiled = jnp.asarray(np.tile(order, (20, 1)))
    ours = nade.draw_in_order(model, darn, jnp.asarray(noise, jnp.float32), tiled)
    np.testing.assert_array_equal(ours, [reference_draw(model, u, order) for u in noise])


@pytest.mark.parametrize("ensemble", [False, True])
def test_frequencies_of_draws(ensemble):
    model = random_nade(units=3)
    if ensemble:
        model = OrderingEnsemble(model, nade.fixed_orders(3, 3))
    draws = model.sample(jax.random.split(jax.random.key(0), 20_000))
    codes = np.asarray(draws) @ [4, 2, 1]
    counts = np.bincount(codes.astype(int), minlength=8)
    expected = 20_000 * np.exp(model.log_prob(jnp.asarray(binary_vectors(3), jnp.float32)))
    assert np.sum((counts - expected) ** 2 / expected) < 24.3  # chi2(7) at 1e-3


def test_a_context_for_each_example_and_the_table():
    model, values = random_nade(lead=(4,)), jnp.asarray(binary_vectors(UNITS)[5:9], jnp.float32)
    table = model.log_prob_table(values)
    np.testing.assert_allclose(np.diag(table), model.log_prob(values), rtol=1e-5)
    ensemble = OrderingEnsemble(model, nade.fixed_orders(2, UNITS))
    np.testing.assert_allclose(
        np.diag(ensemble.log_prob_table(values)), ensemble.log_prob(values), rtol=1e-5
    )


def test_gradient_reaches_the_values():
    model, value = random_nade(), jnp.array([1.0, 0, 1, 1, 0])
    gradient = jax.grad(lambda v: model.log_prob(v))(value)
    step = 1e-2
    for i in range(UNITS):
        up, down = (model.log_prob(value.at[i].add(s)) for s in (step, -step))
        assert float(gradient[i]) == pytest.approx(float(up - down) / (2 * step), abs=2e-3)


def random_params(module, batch, seed=0):
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), batch))
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda s: jnp.asarray(draw.normal(0, 1, s.shape), jnp.float32), shapes)


@pytest.mark.parametrize("orderings", [0, 2])
def test_modules_sum_to_one(orderings):
    module = (EoNADE if orderings else NADE)(UNITS, HIDDEN, orderings)
    batch = {"x": jnp.asarray(binary_vectors(UNITS), jnp.float32)}
    bound = module.bind(random_params(module, batch))
    assert float(jnp.exp(bound.log_prob(batch)).sum()) == pytest.approx(1, abs=1e-5)


def test_masked_logits_are_the_conditionals_of_any_order_that_starts_with_the_known():
    module = EoNADE(UNITS, HIDDEN, 1)
    x = jnp.asarray(binary_vectors(UNITS)[11:13], jnp.float32)
    bound = module.bind(random_params(module, {"x": x}))
    order = np.array([4, 1, 2, 0, 3])
    conditional = bound.distribution().nade.ordered(order).conditional_logits(x[:, order])
    for d in range(UNITS):
        known = jnp.zeros((2, UNITS)).at[:, order[:d]].set(1.0)
        logits = bound.masked_logits(x, known)
        np.testing.assert_allclose(logits[:, order[d]], conditional[:, d], rtol=1e-5)
