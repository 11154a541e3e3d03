"""Cells against a float64 NumPy transcription of appendix A."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvm.nn.conv_lstm import LSTM, ConvLSTM
from rlvm.nn.gates import G1, ConvG1, ConvG2, ConvG3


def sigmoid(u):
    return 1.0 / (1.0 + np.exp(-u))


def f(u, w):
    return w[0] * sigmoid(w[1] * u + w[2]) + w[3] * u + w[4]


def conv(x, kernel, stride=1):
    """Correlation with SAME padding, written out."""
    (height, width), (kh, kw) = x.shape[1:3], kernel.shape[:2]
    strides = [1 if n == 1 else stride for n in (height, width)]
    out = [-(-n // s) for n, s in zip((height, width), strides, strict=True)]
    pad = [
        max((o - 1) * s + k - n, 0)
        for o, s, k, n in zip(out, strides, (kh, kw), (height, width), strict=True)
    ]
    x = np.pad(x, [(0, 0), *[(p // 2, p - p // 2) for p in pad], (0, 0)])
    y = np.zeros((len(x), *out, kernel.shape[-1]))
    for i in range(out[0]):
        for j in range(out[1]):
            top, left = i * strides[0], j * strides[1]
            window = x[:, top : top + kh, left : left + kw]
            y[:, i, j] = np.einsum("bhwc,hwcf->bf", window, kernel)
    return y


def up(x, kernel, size, stride):
    """Transposed convolution: every place spreads its kernel over the places it stands for."""
    strides = [1 if n == 1 else stride for n in size]
    if strides == [1, 1]:
        return conv(x, kernel)
    # lax's SAME rule: dilate x by the stride and correlate with pads (k + s - 2) split by halves.
    (kh, kw), (sh, sw) = kernel.shape[:2], strides
    dilated = np.zeros((len(x), (x.shape[1] - 1) * sh + 1, (x.shape[2] - 1) * sw + 1, x.shape[3]))
    dilated[:, ::sh, ::sw] = x
    pads = [(0, 0)]
    for k, s in ((kh, sh), (kw, sw)):
        total = k + s - 2
        before = k - 1 if s > k - 1 else -(-total // 2)
        pads.append((before, total - before))
    dilated = np.pad(dilated, [*pads, (0, 0)])
    y = np.zeros((len(x), x.shape[1] * sh, x.shape[2] * sw, kernel.shape[-1]))
    for i in range(y.shape[1]):
        for j in range(y.shape[2]):
            window = dilated[:, i : i + kh, j : j + kw]
            y[:, i, j] = np.einsum("bhwc,hwcf->bf", window, kernel)
    return y[:, : size[0], : size[1]]


def layer_norm(x, p):
    units = tuple(range(1, x.ndim))
    deviation = x - x.mean(units, keepdims=True)
    return p["scale"] * deviation / np.sqrt(np.square(deviation).mean(units, keepdims=True) + 1e-5)


def shifted(x, p):
    """The normalisation of G1 and ConvG1, of the kind that `p["kind"]` names."""
    norm = {"batch": batch_norm, "layer": lambda x, p: layer_norm(x, p) + p["bias"]}[p["kind"]]
    return norm(x, p["norm"])


def batch_norm(x, p):
    over = tuple(range(x.ndim - 1))
    return p["scale"] * (x - x.mean(over)) / np.sqrt(x.var(over) + 1e-5) + p["bias"]


def normed_sum(p, top, h, past, stride, branch=0, count=1):
    """The branch's part of the fused kernels, each normalised as if it were alone."""

    def part(a):
        return np.split(a, count, -1)[branch]

    def normed(x, name):
        return layer_norm(x, {"scale": part(p[f"norm_{name}"]["scale"])})

    def kernel(name):
        return part(p[name]["conv"]["kernel"])

    total = part(p["c"]) + normed(up(top, kernel("A"), h.shape[1:3], stride), "A")
    total = total + normed(conv(h, kernel("B")), "B")
    return total + normed(conv(past[0], kernel("P")), "P") if past else total


def numpy_g1(p, top, h, past):
    batch = len(h)
    b = 0.37  # the b of A.1: BN takes it out again
    u = top.reshape(batch, -1) @ p["A"]["kernel"] + b
    if past:
        u = u + past[0].reshape(batch, -1) @ p["P"]["kernel"]
    u, flat = shifted(u, p), h.reshape(batch, -1)
    s = f(u, p["w_s"]["w"])
    return (s * flat + (1 - s) * f(u, p["w"]["w"])).reshape(h.shape)


def numpy_conv_g1(p, top, h, past, stride):
    u = up(top, p["A"]["conv"]["kernel"], h.shape[1:3], stride)
    if past:
        u = u + conv(past[0], p["P"]["conv"]["kernel"])
    u = shifted(u, p)
    s = f(u, p["w_s"]["w"])
    return s * h + (1 - s) * f(u, p["w"]["w"])


def numpy_conv_g2(p, top, h, past, stride):
    mu_1, mu_2, s = (
        f(normed_sum(p["sums"], top, h, past, stride, i, 3), p[f"w_{k}"]["w"])
        for i, k in enumerate("12s")
    )
    return s * mu_1 + (1 - s) * mu_2


def numpy_conv_g3(p, top, h, past, stride):
    u = np.maximum(normed_sum(p["sum"], top, h, past, stride), 0.0)
    s, d, e = (conv(u, p[k]["kernel"]) + p[k]["bias"] for k in ("W_s", "D", "E"))
    return sigmoid(s) * d + (1 - sigmoid(s)) * e


def run(cell, *inputs, examples=None):
    """Random parameters, none at the special values of a start, and the cell's y under them."""
    inputs = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), inputs)
    shapes = jax.eval_shape(lambda key: cell.init(key, *inputs), jax.random.key(0))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda a: jnp.asarray(rng.normal(0.3, 0.4, a.shape), jnp.float32), shapes
    )

    @jax.jit
    def apply(variables, inputs):
        return cell.apply(variables, *inputs, examples=examples, mutable=["moments"])[0]

    params = jax.tree.map(lambda a: np.asarray(a, float), variables["params"])
    return params, apply(variables, inputs)


RNG = np.random.default_rng(7)
BATCH = 5
SIZES = [((1, 11), (1, 6), 2), ((6, 7), (3, 4), 2), ((4, 4), (4, 4), 1), ((7, 7), (3, 3), 3)]


@pytest.mark.parametrize(
    ("size", "above", "stride", "recurrent"), [*[(*s, False) for s in SIZES], (*SIZES[0], True)]
)
@pytest.mark.parametrize("cell", ["ConvG1", "ConvG1 layer", "ConvG2", "ConvG3"])
def test_convolutional_cells(cell, size, above, stride, recurrent):
    h = RNG.normal(size=(BATCH, *size, 3))
    top = RNG.normal(size=(BATCH, *above, 4))
    past = (RNG.normal(size=h.shape),) if recurrent else ()
    filters = (1, 3) if size[0] == 1 else (4, 3)
    module, transcription = {
        "ConvG1": (ConvG1(filters, stride), numpy_conv_g1),
        "ConvG1 layer": (ConvG1(filters, stride, "layer"), numpy_conv_g1),
        "ConvG2": (ConvG2(filters, stride), numpy_conv_g2),
        "ConvG3": (ConvG3(filters, 6, stride), numpy_conv_g3),
    }[cell]
    params, got = run(module, top, h, past, examples=jnp.ones(BATCH))
    params["kind"] = module.norm
    np.testing.assert_allclose(got, transcription(params, top, h, past, stride), atol=2e-5)


@pytest.mark.parametrize(("norm", "recurrent"), [("batch", True), ("layer", False)])
def test_g1(norm, recurrent):
    h, top = RNG.normal(size=(BATCH, 2, 3, 2)), RNG.normal(size=(BATCH, 4))
    past = (RNG.normal(size=h.shape),) if recurrent else ()
    params, got = run(G1(norm), top, h, past, examples=jnp.ones(BATCH))
    params["kind"] = norm
    np.testing.assert_allclose(got, numpy_g1(params, top, h, past), atol=2e-5)


def numpy_lstm(total, c):
    i, g_forget, g, o = np.split(total, 4, -1)
    c = sigmoid(g_forget + 1) * c + sigmoid(i) * np.tanh(g)
    return c, sigmoid(o) * np.tanh(c)


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize(("below", "level", "stride"), [((1, 11), (1, 6), 2), ((4, 4), (4, 4), 1)])
def test_conv_lstm(norm, below, level, stride):
    e, d = RNG.normal(size=(BATCH, *below, 3)), RNG.normal(size=(BATCH, *level, 2))
    c, s = RNG.normal(size=(2, BATCH, *level, 4))
    filters = (1, 3) if below[0] == 1 else (3, 3)
    cell = ConvLSTM(4, filters, stride, norm)
    p, got = run(cell, (c, s), (e,), (d,), examples=jnp.ones(BATCH))
    normed = layer_norm if norm == "layer" else batch_norm
    total = p["b"] + normed(conv(e, p["W_below_0"]["conv"]["kernel"], stride), p["norm_below_0"])
    for k, x in enumerate((d, s)):
        convolved = conv(x, p[f"W_level_{k}"]["conv"]["kernel"])
        total = total + normed(convolved, p[f"norm_level_{k}"])
    np.testing.assert_allclose(got, numpy_lstm(total, c), atol=2e-5)


def test_lstm_flattens_the_map_below():
    e, d = RNG.normal(size=(BATCH, 1, 3, 2)), RNG.normal(size=(BATCH, 5))
    c, s = RNG.normal(size=(2, BATCH, 4))
    p, got = run(LSTM(4), (c, s), (e,), (d,))
    total = p["b"] + layer_norm(e.reshape(BATCH, -1) @ p["W_below_0"]["kernel"], p["norm_below_0"])
    for k, x in enumerate((d, s)):
        total = total + layer_norm(x @ p[f"W_level_{k}"]["kernel"], p[f"norm_level_{k}"])
    np.testing.assert_allclose(got, numpy_lstm(total, c), atol=2e-5)


def test_a_gate_of_one_copies_h_and_of_zero_ignores_it():
    h, top = RNG.normal(size=(BATCH, 4)), RNG.normal(size=(BATCH, 3))
    cell = G1()
    variables = cell.init(jax.random.key(0), top, h)
    apply = jax.jit(cell.apply)
    for gate in (0.0, 1.0):
        constant = jnp.zeros((5, 4)).at[4].set(gate)
        params = {**variables["params"], "w_s": {"w": constant}}
        y = apply({**variables, "params": params}, top, h)
        other = apply({**variables, "params": params}, top, h + 1.0)
        np.testing.assert_allclose(other - y, gate, atol=1e-6)
