"""Convolutions that are quick where they run: on CPU of few channels as a matmul of patches.

XLA's CPU convolution takes two to three times as long as that matmul where taps or channels are
few, and half as long where they are many. Its gradient of the kernel runs at 2 to 4 GFLOP/s there,
a hundredth of a matmul: ours is one matmul of shifted copies.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from rlvm.types import Array

CONVOLVED = "convolved"  # the outputs' name for policies of recomputation
MOST_TAPS, MOST_INPUTS = 4, 128  # of taps, or of taps times channels, for a matmul of patches
DIMENSIONS = ("NHWC", "HWIO", "NHWC")

Size = tuple[int, ...]


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
        y = checkpoint_name(convolve(x, kernel, self.strides, self.up), CONVOLVED)
        if self.use_bias:
            y += self.param("bias", nn.initializers.zeros, (self.features,))
        return y


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(x: Array, kernel: Array, strides: Size, up: Size) -> Array:
    """Correlate x, dilated by `up`, with the kernel [h, w, C, F]; one of `strides`, `up` is 1.

    The gradient is its own: it keeps x and no patches, and is made of matmuls itself.
    """
    pads = _paddings(x, kernel, strides, up)

    def convolution(x, kernel):
        return lax.conv_general_dilated(
            x, kernel, strides, pads, lhs_dilation=up, dimension_numbers=DIMENSIONS
        )

    matmul = functools.partial(_correlate, strides=strides, up=up, pads=pads)
    return lax.platform_dependent(x, kernel, cpu=matmul, default=convolution)


def _forward(x, kernel, strides, up):
    return convolve(x, kernel, strides, up), (x, kernel)


def _backward(strides, up, kept, cotangent):
    x, kernel = kept
    pads = _paddings(x, kernel, strides, up)

    def convolution(x, kernel, cotangent):
        run = functools.partial(
            lax.conv_general_dilated,
            window_strides=strides,
            padding=pads,
            lhs_dilation=up,
            dimension_numbers=DIMENSIONS,
        )
        return jax.vjp(run, x, kernel)[1](cotangent)

    matmul = functools.partial(_pull_back, strides=strides, up=up, pads=pads)
    return lax.platform_dependent(x, kernel, cotangent, cpu=matmul, default=convolution)


convolve.defvjp(_forward, _backward)


def _correlate(x: Array, kernel: Array, strides: Size, up: Size, pads) -> Array:
    """The correlation without the zeros of a dilated x, and of few inputs by a matmul."""
    if max(up) > 1:
        return sub_pixel(x, kernel, pads, up)
    if math.prod(kernel.shape[:2]) > MOST_TAPS and math.prod(kernel.shape[:3]) > MOST_INPUTS:
        return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=DIMENSIONS)
    return patches(x, kernel.shape[:2], strides, pads) @ kernel.reshape(-1, kernel.shape[3])


def _pull_back(x: Array, kernel: Array, cotangent: Array, strides: Size, up: Size, pads):
    """Gradients of x and of the kernel: a correlation with the kernel turned round, and matmuls."""
    taps, size = kernel.shape[:2], x.shape[1:3]
    turned = kernel[::-1, ::-1].swapaxes(2, 3)  # [h, w, F, C]
    around = [
        _turned_padding(*axis)
        for axis in zip(size, taps, strides, up, pads, cotangent.shape[1:3], strict=True)
    ]
    if max(up) > 1:
        windows = patches(cotangent, taps, up, around)  # [B, H, W, h w F]
        weights = _over_places(x, windows).T.reshape(turned.shape)
        return windows @ turned.reshape(-1, turned.shape[3]), weights[::-1, ::-1].swapaxes(2, 3)
    if max(strides) > 1:
        windows = patches(x, taps, strides, pads)
        weights = _over_places(cotangent, windows).T.reshape(kernel.shape)
    else:
        weights = _kernel_gradient(x, taps, cotangent, pads)
    to_x = _correlate(cotangent, turned, up, strides, around)
    return to_x[:, : size[0], : size[1]], weights


def _kernel_gradient(x: Array, taps: Sequence[int], cotangent: Array, pads) -> Array:
    """sum over places of x at each tap times the cotangent, stride 1: [h, w, C, F].

    One matmul of x, moved to every column of the filter, with the cotangent, moved to every row:
    h + w copies where patches are h w. x is transposed before it is copied, as the matmul needs it.
    """
    (height, width), edge, span = taps, (0, 0), cotangent.shape[2]
    transposed = jnp.pad(jnp.moveaxis(x, -1, 0), [edge, edge, *pads])  # [C, B, H' + h - 1, ...]
    columns = jnp.concatenate([transposed[..., j : j + span] for j in range(width)])
    rows = jnp.concatenate(
        [jnp.pad(cotangent, [edge, (i, height - 1 - i), edge, edge]) for i in range(height)], -1
    )
    weights = columns.reshape(len(columns), -1) @ rows.reshape(-1, rows.shape[-1])
    weights = weights.reshape(width, x.shape[-1], height, cotangent.shape[-1])
    return jnp.moveaxis(weights, 2, 0)


def _over_places(x: Array, y: Array) -> Array:
    """Sum over all places of x [..., C] times y [..., D], x the narrower: [C, D]."""
    return x.reshape(-1, x.shape[-1]).T @ y.reshape(-1, y.shape[-1])


def _turned_padding(size, taps, stride, up, pads, out) -> tuple[int, int]:
    """Padding of a cotangent of `out` places (dilated by `stride`) that leads back to `size`."""
    front = taps - 1 - pads[0]
    if up > 1:
        return front, (size - 1) * up + taps - out - front
    return front, size + taps - 1 - front - ((out - 1) * stride + 1)


def _paddings(x: Array, kernel: Array, strides: Size, up: Size) -> list[tuple[int, ...]]:
    axes = zip(x.shape[1:3], kernel.shape[:2], strides, up, strict=True)
    return [padding(*axis) for axis in axes]


def padding(size: int, taps: int, stride: int, up: int) -> tuple[int, ...]:
    """Places added in front and behind, such that ceil(size / stride) or size * up come out."""
    if up > 1:
        total = taps + up - 2
        return (front := taps - 1 if up > taps - 1 else -(-total // 2)), total - front
    total = max((-(-size // stride) - 1) * stride + taps - size, 0)
    return total // 2, total - total // 2


def patches(x: Array, taps: Sequence[int], strides: Sequence[int], pads) -> Array:
    """Every place's window, tap by tap: x [B, H, W, C] -> [B, H', W', h w C]."""
    edges = [(0, 0, 0), *((*pad, 0) for pad in pads), (0, 0, 0)]  # a negative edge is cut off
    x = lax.pad(x, jnp.zeros((), x.dtype), edges)
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


def sub_pixel(x: Array, kernel: Array, pads, up: Sequence[int]) -> Array:
    """The correlation of x dilated by `up`, without its zeros.

    Each place of x gives the up x up places around it by filters of their own, which hold every
    up-th tap of the kernel: x [B, H, W, C] -> [B, H up, W up, F].
    """
    selected = [_phases(*axis) for axis in zip(kernel.shape[:2], pads, up, strict=True)]
    (rows, row_pads), (columns, column_pads) = selected
    filters = jnp.einsum("oat,tscf->oascf", rows, kernel)
    filters = jnp.einsum("pbs,oascf->opcabf", columns, filters)
    filters = filters.reshape(*filters.shape[:3], -1)
    places = _correlate(x, filters, (1, 1), (1, 1), [row_pads, column_pads])
    (batch, height, width), features = x.shape[:3], kernel.shape[3]
    places = places.reshape(batch, height, width, *up, features).swapaxes(2, 3)
    return places.reshape(batch, height * up[0], width * up[1], features)


def _phases(taps: int, pads: tuple[int, int], up: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Which tap stands at which offset for each of `up` phases: [offsets, up, taps], and padding.

    Phase a at place i of x is at up i + a, where tap t meets x at i + o if t = up o - a + front.
    """
    front = pads[0]
    first, last = -(front // up), (up + taps - 2 - front) // up
    offsets = np.arange(first, last + 1)[:, None, None]
    met = np.arange(taps) == up * offsets - np.arange(up)[:, None] + front
    return met.astype(np.float32), (-first, last)
