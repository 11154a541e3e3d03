"""Normalisation under time against NumPy loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from rlvm.nn.normalization import (
    BatchNorm,
    LayerNorm,
    normalization,
    standardized,
    update_statistics,
)

RNG = np.random.default_rng(0)
T, B, C = 4, 6, 3


class Frame(nn.Module):
    """A recurrence through a BatchNorm: s_t = BN(s_{t-1} + x_t)."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, s, x, examples):
        y = BatchNorm(self.axis_name, name="BN")(s + x, examples)
        return y, y


def over_time(static, axis_name=None):
    """The recurrence scanned: statistics per step if `static`, else shared over steps."""
    return nn.scan(
        Frame,
        variable_broadcast=("params",) if static else ("params", "batch_stats"),
        variable_axes={"batch_stats": 0, "moments": 0} if static else {"moments": 0},
        split_rngs={"params": False},
        in_axes=(1, 1),
        out_axes=1,
    )(axis_name)


def numpy_scan(x, examples, scale, bias):
    """y [B, T, C] and each step's moments, in a loop."""
    s, ys, moments = np.zeros((B, C)), [], []
    for t in range(T):
        v, w = s + x[:, t], examples[:, t, None]
        mean = (w * v).sum(0) / w.sum()
        var = (w * (v - mean) ** 2).sum(0) / w.sum()
        s = scale * (v - mean) / np.sqrt(var + 1e-5) + bias
        ys.append(s)
        moments.append((w.sum(), mean, var))
    return np.stack(ys, 1), moments


def setting(static, axis_name=None):
    x = RNG.normal(size=(B, T, C)).astype(np.float32) * 2 + 1
    examples = np.ones((B, T), np.float32)
    examples[4:, 2:] = 0.0  # two sequences end early
    examples[5] = 0.0  # and one example is padding
    module = over_time(static, axis_name)
    variables = over_time(static).init(jax.random.key(0), jnp.zeros((B, C)), x, None)
    params = {"BN": {"scale": RNG.uniform(0.5, 2, C), "bias": RNG.normal(size=C)}}
    params = jax.tree.map(jnp.asarray, params)
    return module, {**variables, "params": params}, x, examples


@pytest.mark.parametrize("static", [True, False])
def test_training_normalises_by_each_steps_own_moments(static):
    module, variables, x, examples = setting(static)
    (_, y), moved = module.apply(variables, jnp.zeros((B, C)), x, examples, mutable=["moments"])
    p = variables["params"]["BN"]
    want, moments = numpy_scan(x, examples, np.asarray(p["scale"]), np.asarray(p["bias"]))
    np.testing.assert_allclose(y, want, atol=1e-4)
    stats = update_statistics(variables["batch_stats"], moved["moments"], 0.9)["BN"]
    counts = np.array([m[0] for m in moments])
    for k, name in ((1, "mean"), (2, "var")):
        values = np.array([m[k] for m in moments])
        start = 0.0 if name == "mean" else 1.0
        mean = values if static else (counts[:, None] * values).sum(0) / counts.sum()
        np.testing.assert_allclose(stats[name], 0.9 * start + 0.1 * mean, atol=1e-4)


@pytest.mark.parametrize("static", [True, False])
def test_evaluation_uses_the_running_statistics(static):
    module, variables, x, _ = setting(static)
    shape = (T, C) if static else (C,)
    mean, var = RNG.normal(size=shape), RNG.uniform(0.5, 2, shape)
    stats = {"BN": {"mean": jnp.asarray(mean), "var": jnp.asarray(var)}}
    _, y = module.apply({**variables, "batch_stats": stats}, jnp.zeros((B, C)), x, None)
    p, s = variables["params"]["BN"], np.zeros((B, C))
    for t in range(T):
        m, v = (mean[t], var[t]) if static else (mean, var)
        s = np.asarray(p["scale"]) * (s + x[:, t] - m) / np.sqrt(v + 1e-5) + np.asarray(p["bias"])
        np.testing.assert_allclose(y[:, t], s, atol=1e-4)


def test_a_step_without_examples_moves_nothing():
    module, variables, x, examples = setting(static=True)
    examples[:, 1] = 0.0
    _, moved = module.apply(variables, jnp.zeros((B, C)), x, examples, mutable=["moments"])
    stats = update_statistics(variables["batch_stats"], moved["moments"], 0.9)["BN"]
    np.testing.assert_array_equal(stats["mean"][1], 0.0)
    np.testing.assert_array_equal(stats["var"][1], 1.0)
    assert float(jnp.abs(stats["mean"][0]).min()) > 0


def test_split_over_devices_sees_the_global_batch():
    if jax.device_count() < 2:
        pytest.skip("needs two devices")
    module, variables, x, examples = setting(static=False, axis_name="data")
    whole = setting(static=False)[0]
    (_, want), moved = whole.apply(variables, jnp.zeros((B, C)), x, examples, mutable=["moments"])

    def apply(x, examples):
        return module.apply(variables, jnp.zeros((B // 2, C)), x, examples, mutable=["moments"])

    halves = [jnp.stack([a[: B // 2], a[B // 2 :]]) for a in (x, examples)]
    (_, y), parts = jax.pmap(apply, "data", devices=jax.devices()[:2])(*halves)
    np.testing.assert_allclose(y.reshape(want.shape), want, atol=1e-5)
    for a, b in zip(jax.tree.leaves(parts), jax.tree.leaves(moved), strict=True):
        np.testing.assert_allclose(a[1], b, atol=1e-5)


def test_layer_norm_normalises_all_units_of_an_example():
    x = RNG.normal(size=(B, 4, 5, 1)) * 3 + 2
    y = LayerNorm().apply({"params": {"scale": jnp.array([2.0])}}, jnp.asarray(x, jnp.float32))
    flat = x.reshape(B, -1)
    want = 2 * (flat - flat.mean(1, keepdims=True)) / np.sqrt(flat.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y.reshape(B, -1), want, atol=1e-5)


def test_unknown_normalization_is_named():
    with pytest.raises(ValueError, match="No normalization 'group'"):
        normalization("group", None, "norm")


def test_gradient_of_a_standardized_layer_is_that_of_its_definition():
    x, g = (jnp.asarray(RNG.normal(size=(3, 5, 2, 4)), jnp.float32) for _ in "xg")

    def definition(x):
        mean = x.mean((1, 3), keepdims=True)
        return (x - mean) / jnp.sqrt(jnp.square(x - mean).mean((1, 3), keepdims=True) + 0.1)

    y, back = jax.vjp(lambda x: standardized(x, 0.1), x)
    expected, pull = jax.vjp(definition, x)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(back(g)[0], pull(g)[0], rtol=1e-4, atol=1e-6)
