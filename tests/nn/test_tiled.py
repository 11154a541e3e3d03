"""Tiled layers against the dense matrix that the tiling spells out, and against convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvm.nn.tiled import (
    TiledExpansion,
    TiledLayer,
    banded_sum,
    reduced,
    tiled_map,
    window,
)


def random_params(module, *args):
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *args))
    draw = np.random.default_rng(0)
    return jax.tree.map(lambda s: jnp.asarray(draw.normal(0, 1, s.shape), jnp.float32), shapes)


def dense_matrix(kernel, offsets, image, shape, stride):
    """The matrix [H W C, rows columns F] of the layer, one entry at a time."""
    kernel = np.asarray(kernel, np.float64).reshape(len(offsets), *kernel.shape[-4:])
    period, channels, features = kernel.shape[1], kernel.shape[3], kernel.shape[4]
    matrix = np.zeros((*image, channels, *shape, features))
    for i in range(shape[0]):
        for j in range(shape[1]):
            for (down, right), bank in zip(offsets, kernel, strict=True):
                matrix[i * stride + down, j * stride + right, :, i, j] = bank[
                    i % period, j % period
                ]
    return matrix.reshape(np.prod(image) * channels, -1)


@pytest.mark.parametrize(
    ("image", "size", "stride", "period"),
    [((7, 9), 3, 1, 2), ((9, 8), 3, 2, 3), ((6, 6), 2, 2, 1), ((5, 6), 2, 1, 8)],
)
def test_layer_and_expansion_are_the_dense_matrix_and_its_transpose(image, size, stride, period):
    shape = tuple(reduced(n, size, stride) for n in image)
    x = np.random.default_rng(1).normal(size=(2, *image, 2)).astype(np.float32)
    layer = TiledLayer(3, size, stride, period)
    params = random_params(layer, x)
    kernel, bias = params["params"]["kernel"], params["params"]["bias"]
    matrix = dense_matrix(kernel, window(size), image, shape, stride)
    expected = (x.reshape(2, -1) @ matrix).reshape(2, *shape, 3) + tiled_map(bias, shape)
    out = layer.apply(params, x)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)
    expansion = TiledExpansion(2, size, stride, period, image)
    zero = jnp.zeros((period, period, 2))
    back = expansion.apply({"params": {"kernel": kernel, "bias": zero}}, out)
    expected = np.asarray(out).reshape(2, -1) @ matrix.T
    np.testing.assert_allclose(back.reshape(2, -1), expected, rtol=1e-4, atol=1e-3)


def test_period_one_is_a_convolution():
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 8, 7, 2)), jnp.float32)
    layer = TiledLayer(4, 3, 2, 1)
    params = random_params(layer, x)
    kernel = params["params"]["kernel"].reshape(3, 3, 2, 4)
    convolved = jax.lax.conv_general_dilated(
        x, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    expected = convolved + params["params"]["bias"][0, 0]
    np.testing.assert_allclose(layer.apply(params, x), expected, rtol=1e-4, atol=1e-4)


def test_banded_sum_is_the_dense_matrix():
    image, down, size, period, shape = (8, 11), 2, 4, 3, (7, 8)
    draw = np.random.default_rng(0)
    x = draw.normal(size=(2, *image)).astype(np.float32)
    kernel = draw.normal(size=(down, size, period, period)).astype(np.float32)
    offsets = window(size)[: down * size]
    banks = kernel.reshape(down * size, period, period, 1, 1)
    expected = x.reshape(2, -1) @ dense_matrix(banks, offsets, image, shape, 1)
    out = banded_sum(jnp.asarray(x), jnp.asarray(kernel), shape)
    np.testing.assert_allclose(out.reshape(2, -1), expected, rtol=1e-4, atol=1e-5)


def test_tiles_repeat():
    banks = jnp.arange(4.0).reshape(2, 2)
    np.testing.assert_array_equal(tiled_map(banks, (3, 3)), [[0, 1, 0], [2, 3, 2], [0, 1, 0]])
