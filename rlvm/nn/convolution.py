"""Convolutions that are quick where they run: as one matmul of patches on CPU.

Inside a scan, XLA's CPU convolution takes 2 to 16 times as long as the matmul of its patches
(measured at 8 to 32 channels, filters of 3 and 3x3). Large filters stay convolutions everywhere:
their patches would take too much memory.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from rlvm.types import Array

MOST_TAPS = 25
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


class Convolution(nn.Module):
    """x [B, H, W, C] -> [B, H', W', F], padding SAME; `up` dilates x before it is filtered."""

    features: int
    filter_size: tuple[int, ...]
    strides: tuple[int, ...] = (1, 1)
    up: tuple[int, ...] = (1, 1)
    use_bias: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """H' = ceil(H / stride), or H up where `up` > 1."""
        shape = (*self.filter_size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        y = convolve(x, kernel, self.strides, self.up)
        if self.use_bias:
            y += self.param("bias", nn.initializers.zeros, (self.features,))
        return y


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(x: Array, kernel: Array, strides: tuple[int, ...], up: tuple[int, ...]) -> Array:
    """Correlate x, dilated by `up`, with the kernel [h, w, C, F].

    Its gradient is its own so that a scan keeps x for it and no patches of x.
    """
    by_matmul, by_convolution = _ways(x, kernel, strides, up)
    return lax.platform_dependent(x, kernel, cpu=by_matmul, default=by_convolution)


def _forward(x, kernel, strides, up):
    return convolve(x, kernel, strides, up), (x, kernel)


def _backward(strides, up, kept, cotangent):
    pullbacks = [
        lambda x, kernel, y, way=way: jax.vjp(way, x, kernel)[1](y)
        for way in _ways(*kept, strides, up)
    ]
    return lax.platform_dependent(*kept, cotangent, cpu=pullbacks[0], default=pullbacks[1])


convolve.defvjp(_forward, _backward)


def _ways(x, kernel, strides, up):
    """The two computations: as one matmul of patches (where the filter is small), and XLA's own."""
    pads = [
        _padding(size, taps, s, u)
        for size, taps, s, u in zip(x.shape[1:3], kernel.shape[:2], strides, up, strict=True)
    ]

    def convolution(x, kernel):
        return lax.conv_general_dilated(
            x, kernel, strides, pads, lhs_dilation=up, dimension_numbers=DIMENSIONS
        )

    def matmul(x, kernel):
        return patches(x, kernel.shape[:2], strides, pads, up) @ kernel.reshape(-1, kernel.shape[3])

    small = kernel.shape[0] * kernel.shape[1] <= MOST_TAPS
    return matmul if small else convolution, convolution


def _padding(size: int, taps: int, stride: int, up: int) -> tuple[int, ...]:
    """Places added in front and behind, such that ceil(size / stride) or size * up come out."""
    if up > 1:
        total = taps + up - 2
        return (front := taps - 1 if up > taps - 1 else -(-total // 2)), total - front
    total = max((-(-size // stride) - 1) * stride + taps - size, 0)
    return total // 2, total - total // 2


def patches(x: Array, taps: Sequence[int], strides: Sequence[int], pads, up) -> Array:
    """Every place's window, tap by tap: x [B, H, W, C] -> [B, H', W', h w C]."""
    edges = [(front, back, u - 1) for (front, back), u in zip(pads, up, strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
    spans = [n - k + 1 for n, k in zip(x.shape[1:3], taps, strict=True)]
    (height, width), (down, right) = spans, strides
    return jnp.concatenate(
        [
            x[:, i : i + height : down, j : j + width : right]
            for i in range(taps[0])
            for j in range(taps[1])
        ],
        axis=-1,
    )
