"""Strided layers and the transposed convolutions that invert their sizes, with cropping.

A level of n places under stride s has ceil(n / s) places above it (88-88-44-22-11-6-3); going back
down, a transposed convolution gives ceil(n / s) * s >= n places and the surplus is cropped.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn

from rlvm.nn.convolution import Convolution
from rlvm.types import Array


def strided(size: Sequence[int], stride: int) -> tuple[int, ...]:
    """Spatial size above a layer of that stride; an axis of one place is never strided."""
    return tuple(-(-n // s) for n, s in zip(size, axis_strides(size, stride), strict=True))


def axis_strides(size: Sequence[int], stride: int) -> tuple[int, ...]:
    """`stride` per axis, 1 along axes of a single place (a piano roll is [1, 88])."""
    return tuple(1 if n == 1 else stride for n in size)


class Down(nn.Module):
    """A convolution with stride, `SAME` padding and no bias: [B, H, W, C] -> [B, H', W', F]."""

    features: int
    filter_size: tuple[int, ...]
    stride: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, H, W, C] -> [B, ceil(H / s), ceil(W / s), F]."""
        strides = axis_strides(x.shape[1:3], self.stride)
        return Convolution(self.features, self.filter_size, strides, name="conv")(x)


class Up(nn.Module):
    """The way down: a transposed convolution with stride, cropped to `size`."""

    features: int
    filter_size: tuple[int, ...]
    size: tuple[int, ...]
    stride: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, H', W', C] -> [B, *size, F]."""
        up = axis_strides(self.size, self.stride)
        return crop(Convolution(self.features, self.filter_size, up=up, name="conv")(x), self.size)


def unpool(x: Array, size: tuple[int, ...], window: tuple[int, ...]) -> Array:
    """Repeat every place of x [B, H, W, C] over the window it was pooled from, then crop."""
    for axis, n in zip((1, 2), window, strict=True):
        x = jnp.repeat(x, n, axis)
    return crop(x, size)


def crop(x: Array, size: tuple[int, ...]) -> Array:
    """The first `size` places of x [B, H, W, C]."""
    return x[:, : size[0], : size[1]]


def pool(x: Array, kind: str, window: tuple[int, ...], stride: int) -> Array:
    """Max or average pooling, padded where strided; stride 0 tiles the map without padding."""
    reduce = nn.max_pool if kind == "MaxPool" else nn.avg_pool
    extra = {} if kind == "MaxPool" else {"count_include_pad": False}
    if not stride:
        return reduce(x, window, window, "VALID", **extra)
    return reduce(x, window, axis_strides(x.shape[1:3], stride), "SAME", **extra)
