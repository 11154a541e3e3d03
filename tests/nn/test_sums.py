"""Sums over places against NumPy, on every platform's branch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvm.nn import sums

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5, 2, 4)).astype(np.float32)


@pytest.fixture(params=["cpu", "default"])
def branch(request, monkeypatch):
    """Each function's own branch for CPU, and the one for all other platforms."""

    def chosen(*arguments, cpu, default):
        return (cpu if request.param == "cpu" else default)(*arguments)

    monkeypatch.setattr(sums.lax, "platform_dependent", chosen)


@pytest.mark.usefixtures("branch")
def test_columns_are_summed_over_all_but_the_last_axis():
    np.testing.assert_allclose(sums.columns(jnp.asarray(X)), X.sum((0, 1, 2)), rtol=1e-5)


@pytest.mark.usefixtures("branch")
def test_layer_means_are_over_places_and_channels_of_each_group():
    expected = X.astype(np.float64).mean((1, 3), keepdims=True)
    np.testing.assert_allclose(sums.layer_means(jnp.asarray(X)), expected, rtol=1e-5)


@pytest.mark.usefixtures("branch")
def test_what_is_spread_is_gathered_again():
    w = jnp.arange(4.0)
    y, back = jax.vjp(lambda w: sums.spread(w, X.shape), w)
    np.testing.assert_array_equal(y, np.broadcast_to(w, X.shape))
    np.testing.assert_allclose(back(X)[0], X.sum((0, 1, 2)), rtol=1e-5)
