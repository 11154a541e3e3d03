"""Locally connected layers that share weights periodically (Gregor and LeCun 2010).

Outputs (i, j) and (i + P, j + P) share a filter bank: a layer has P x P banks. With P = 1 it is a
convolution, with P at the image's size it shares nothing. Time and memory are linear in the image:
a scan over the offsets of the kernel, each a shifted image times its weights at every position.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rlvm.types import Array


def window(size: int) -> np.ndarray:
    """All offsets (row, column) of a kernel, from its top left corner: [size^2, 2]."""
    rows, columns = np.divmod(np.arange(size * size), size)
    return np.stack([rows, columns], axis=-1)


def tiled_sum(x: Array, kernel: Array, offsets: np.ndarray, shape: tuple[int, int]) -> Array:
    """sum over offsets o of x[:, i + o_0, j + o_1] @ kernel[o, i mod P, j mod P].

    x is [B, H, W, C], the kernel [offsets, P, P, C, F]; the result has `shape` rows and columns:
    [B, rows, columns, F]. x must hold every position that is read.
    """
    period, (rows, columns) = kernel.shape[1], shape
    tiles = (-(-rows // period), -(-columns // period))
    reach = [tiles[a] * period for a in (0, 1)]
    need = [int(offsets[:, a].max()) + reach[a] for a in (0, 1)]
    edge = [(0, 0), *[(0, max(need[a] - x.shape[a + 1], 0)) for a in (0, 1)], (0, 0)]
    x = jnp.pad(x, edge)
    blocks = (x.shape[0], tiles[0], period, tiles[1], period)

    @functools.partial(jax.checkpoint, prevent_cse=False)  # else every shifted image is kept
    def add(total, inputs):
        offset, weights = inputs
        start = (0, offset[0], offset[1], 0)
        seen = jax.lax.dynamic_slice(x, start, (x.shape[0], *reach, x.shape[3]))
        seen = seen.reshape(*blocks, x.shape[3])
        return total + jnp.einsum("bupvqc,pqcf->bupvqf", seen, weights), None

    total = jnp.zeros((*blocks, kernel.shape[-1]), x.dtype)
    total, _ = jax.lax.scan(add, total, (jnp.asarray(offsets), kernel))
    whole = total.reshape(x.shape[0], *reach, kernel.shape[-1])
    return whole[:, :rows, :columns]


def strided_sum(x: Array, kernel: Array, stride: int, shape: tuple[int, int]) -> Array:
    """sum over rows r and columns c of x[:, i s + r, j s + c] @ kernel[r, c, i mod P, j mod P].

    The kernel is [size, size, P, P, C, F]. Squares of stride x stride pixels become the channels of
    one, so that the sum has stride 1 and few offsets, each a matmul over many channels.
    """
    size, period, features = kernel.shape[0], kernel.shape[2], kernel.shape[-1]
    reach = -(-size // stride)  # squares under a kernel, along an axis
    wide = [(reach + n - 1) * stride for n in shape]
    edge = [(0, 0), *[(0, max(wide[a] - x.shape[a + 1], 0)) for a in (0, 1)], (0, 0)]
    x = jnp.pad(x, edge)[:, : wide[0], : wide[1]]
    squares = x.reshape(len(x), wide[0] // stride, stride, wide[1] // stride, stride, -1)
    squares = jnp.moveaxis(squares, 2, 3).reshape(len(x), *[n // stride for n in wide], -1)
    beyond = (0, reach * stride - size)
    kernel = jnp.pad(kernel, [beyond, beyond, *[(0, 0)] * 4])
    kernel = kernel.reshape(reach, stride, reach, stride, *kernel.shape[2:])
    kernel = kernel.transpose(0, 2, 4, 5, 1, 3, 6, 7)  # reach, reach, P, P, stride, stride, C, F
    kernel = kernel.reshape(reach**2, period, period, -1, features)
    return tiled_sum(squares, kernel, window(reach), shape)


def banded_sum(image: Array, kernel: Array, shape: tuple[int, int]) -> Array:
    """sum over r and c of image[:, i + r, j + c] kernel[r, c, i mod P, j mod P]: [B, *shape].

    One channel would make a matmul of `tiled_sum` a sum of products; here the P columns of a tile
    are its outputs and the columns that they see its inputs, through a band matrix. image is
    [B, H, W] and must hold every position that is read, the kernel [rows, size, P, P].
    """
    down, size, period = kernel.shape[:3]
    tiles, width = [-(-n // period) for n in shape], period + size - 1
    need = (down - 1 + tiles[0] * period, tiles[1] * period + size - 1)
    edge = [(0, 0), *[(0, max(need[a] - image.shape[a + 1], 0)) for a in (0, 1)]]
    columns = np.arange(tiles[1])[:, None] * period + np.arange(width)
    image = jnp.pad(image, edge)[:, :, columns]  # [B, H, tiles, width]
    place = np.arange(width)[:, None] - np.arange(period)  # in the kernel: [width, P]
    band = kernel[:, place.clip(0, size - 1), :, np.arange(period)]  # [width, P, rows, P]
    band = jnp.where(((0 <= place) & (place < size))[..., None, None], band, 0.0)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def add(total, inputs):
        row, weights = inputs  # weights [width, P, P]
        seen = jax.lax.dynamic_slice_in_dim(image, row, tiles[0] * period, axis=1)
        seen = seen.reshape(len(image), tiles[0], period, tiles[1], width)
        return total + jnp.einsum("bupvc,cqp->bupvq", seen, weights), None

    total = jnp.zeros((len(image), tiles[0], period, tiles[1], period), image.dtype)
    total, _ = jax.lax.scan(add, total, (jnp.arange(down), jnp.moveaxis(band, 2, 0)))
    whole = total.reshape(len(image), tiles[0] * period, tiles[1] * period)
    return whole[:, : shape[0], : shape[1]]


def reduced(size: int, kernel: int, stride: int) -> int:
    """Outputs along an axis of `size` when a kernel of that size fits at every one of them."""
    return (size - kernel) // stride + 1


class TiledLayer(nn.Module):
    """A periodic locally connected layer without padding, with a bias for each bank."""

    features: int
    size: int
    stride: int
    period: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, H, W, C] -> [B, rows, columns, features]."""
        rows, columns = (reduced(n, self.size, self.stride) for n in x.shape[1:3])
        shape = (rows, columns)
        kernel = tiled_kernel(self, x.shape[-1], self.features)
        bias = self.param("bias", nn.initializers.zeros, (self.period, self.period, self.features))
        out = strided_sum(x, kernel, self.stride, shape)
        return out + tiled_map(bias, shape)


class TiledExpansion(nn.Module):
    """The transpose of a `TiledLayer`: from its outputs to an image of `shape`."""

    features: int
    size: int
    stride: int
    period: int
    shape: tuple[int, int]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[B, rows, columns, C] -> [B, *shape, features]; the biases repeat with the period."""
        kernel = tiled_kernel(self, self.features, x.shape[-1])
        image = jax.ShapeDtypeStruct((x.shape[0], *self.shape, self.features), x.dtype)

        def forward(image):
            return strided_sum(image, kernel, self.stride, x.shape[1:3])

        (out,) = jax.linear_transpose(forward, image)(x)
        bias = self.param("bias", nn.initializers.zeros, (self.period, self.period, self.features))
        return out + tiled_map(bias, self.shape)


def tiled_kernel(layer: nn.Module, inputs: int, outputs: int) -> Array:
    """The filter banks of a layer: [size, size, P, P, inputs, outputs]."""
    scale = 1.0 / np.sqrt(layer.size**2 * inputs)
    shape = (layer.size, layer.size, layer.period, layer.period, inputs, outputs)
    return layer.param("kernel", nn.initializers.normal(scale), shape)


def tiled_map(banks: Array, shape: tuple[int, int]) -> Array:
    """One value of [P, P, ...] for each position of an image of `shape`: [*shape, ...]."""
    rows, columns = (np.arange(n) % banks.shape[0] for n in shape)
    return banks[rows][:, columns]
