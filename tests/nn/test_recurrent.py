import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvm.nn.recurrent import GRU, RecurrentFeatures

T, B, F, H = 6, 3, 2, 4


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def gru_in_numpy(p, x):
    """The recurrence written out per gate, in float64: x [T, F] -> [T, H]."""
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), p)
    w, b = np.split(p["from_input"]["kernel"], 3, 1), np.split(p["from_input"]["bias"], 3)
    v, h, out = np.split(p["recurrent"], 3, 1), np.zeros(H), []
    for x_t in x:
        r = sigmoid(x_t @ w[0] + b[0] + h @ v[0])
        u = sigmoid(x_t @ w[1] + b[1] + h @ v[1])
        n = np.tanh(x_t @ w[2] + b[2] + r * (h @ v[2] + p["recurrent_bias"]))
        h = (1 - u) * n + u * h
        out.append(h)
    return np.array(out)


@pytest.mark.parametrize("reverse", [False, True])
def test_gru_is_its_equations_and_skips_what_is_masked(reverse):
    gru, x = GRU(H, reverse), np.random.default_rng(0).normal(size=(T, B, F)).astype(np.float32)
    lengths = np.array([T, 4, 1])
    mask = np.arange(T)[:, None] < lengths
    params = jax.jit(gru.init)(jax.random.key(0), x, mask)["params"]
    params["recurrent_bias"] = jnp.arange(H, dtype=jnp.float32) / H
    h = jax.jit(gru.apply)({"params": params}, x, mask)
    for b, length in enumerate(lengths):
        inputs = x[:length, b][::-1] if reverse else x[:length, b]
        expected = gru_in_numpy(params, inputs)
        np.testing.assert_allclose(
            h[:length, b], expected[::-1] if reverse else expected, atol=1e-5
        )


@pytest.mark.parametrize(
    ("direction", "sees"), [("forward", "past"), ("backward", "future"), ("both", "all")]
)
def test_features_see_what_their_direction_says(direction, sees):
    net, x = RecurrentFeatures(H, num_layers=2, direction=direction), jnp.ones((T, B, F))
    mask = jnp.ones((T, B), bool)
    params = jax.jit(net.init)(jax.random.key(1), x, mask)
    jacobian = jax.jit(jax.jacrev(lambda x: net.apply(params, x, mask)[2, 0]))(x)[:, :, 0]
    seen = np.abs(jacobian).max(axis=(0, 2)) > 0
    expected = {"past": np.arange(T) <= 2, "future": np.arange(T) >= 2, "all": np.full(T, True)}
    np.testing.assert_array_equal(seen, expected[sees])
