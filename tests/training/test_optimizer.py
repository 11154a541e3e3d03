"""Schedules and optimizers against their formulas."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from rlvm.jobs.config import base
from rlvm.training import optimizer


def config(**fields):
    return ConfigDict({**base().optimizer.to_dict(), "learning_rate": 0.1, **fields})


def updates(settings, gradients, start=1.0, num_steps=100):
    """The parameter after each gradient."""
    transform = optimizer.build(settings, num_steps)
    params = {"w": jnp.asarray(start)}
    state, out = transform.init(params), []
    for gradient in gradients:
        change, state = transform.update({"w": jnp.asarray(gradient)}, state, params)
        params = optax.apply_updates(params, change)
        out.append(float(params["w"]))
    return out


def test_constant_and_cosine_schedules_with_warmup():
    rate = optimizer.schedule(config(schedule="constant", warmup_steps=4), 20)
    np.testing.assert_allclose([rate(s) for s in (0, 2, 4, 19)], [0, 0.05, 0.1, 0.1], rtol=1e-6)
    rate = optimizer.schedule(config(schedule="cosine", warmup_steps=4), 20)
    expected = [0, 0.1, 0.1 * (1 + np.cos(np.pi / 2)) / 2, 0]
    np.testing.assert_allclose([rate(s) for s in (0, 4, 12, 20)], expected, atol=1e-8)
    rate = optimizer.schedule(config(schedule="cosine"), 20)
    np.testing.assert_allclose(rate(5), 0.1 * (1 + np.cos(np.pi / 4)) / 2, rtol=1e-6)


def test_adam():
    settings = config(name="adam", schedule="constant", momentum=0.8)
    m = v = 0.0
    w, expected = 1.0, []
    for t, g in enumerate([0.5, -2.0, 1.0], 1):
        m, v = 0.8 * m + 0.2 * g, 0.999 * v + 0.001 * g * g
        w -= 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        expected.append(w)
    np.testing.assert_allclose(updates(settings, [0.5, -2.0, 1.0]), expected, rtol=1e-5)


def test_adamw_decays_the_weights():
    plain = updates(config(name="adam", schedule="constant"), [0.5])[0]
    decayed = updates(config(name="adamw", schedule="constant", weight_decay=0.3), [0.5])[0]
    assert decayed == pytest.approx(plain - 0.1 * 0.3 * 1.0, rel=1e-5)


def test_rmsprop_is_graves_centred_one_with_momentum():
    settings = config(name="rmsprop", schedule="constant", momentum=0.9)
    n = g_mean = delta = 0.0
    w, expected = 1.0, []
    for g in [0.5, -2.0, 1.0]:
        n, g_mean = 0.95 * n + 0.05 * g * g, 0.95 * g_mean + 0.05 * g
        delta = 0.9 * delta - 0.1 * g / np.sqrt(n - g_mean**2 + 1e-4)
        w += delta
        expected.append(w)
    np.testing.assert_allclose(updates(settings, [0.5, -2.0, 1.0]), expected, rtol=1e-4)


def test_clipping_bounds_the_gradient():
    settings = config(name="sgd", schedule="constant", momentum=0.0, clip_norm=0.5)
    assert updates(settings, [4.0])[0] == pytest.approx(1 - 0.1 * 0.5)


def test_unknown_names_say_what_exists():
    with pytest.raises(ValueError, match=r"No optimizer 'adm'. Optimizers: adam, adamw, rmsprop"):
        optimizer.build(config(name="adm"), 10)
    with pytest.raises(ValueError, match=r"No schedule 'cosin'. Schedules: constant, cosine"):
        optimizer.build(config(schedule="cosin"), 10)
