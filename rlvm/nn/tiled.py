"""Locally connected layers that share weights periodically (Gregor and LeCun 2010).

Outputs (i, j) and (i + P, j + P) share a filter bank: a layer has P x P banks. With P = 1 it is a
convolution, with P at the image's size it shares nothing. Time and memory are linear in the image:
a scan over the offsets of the kernel, each a shifted image times its weights at every position.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rlvm.types import Array


def window(size: int) -> np.ndarray:
    """All offsets (row, column) of a kernel, from its top left corner: [size^2, 2]."""
    rows, columns = np.divmod(np.arange(size * size), size)
    return np.stack([rows, columns], axis=-1)


def causal_window(size: int) -> np.ndarray:
    """The offsets of an odd kernel that come before its centre in raster order."""
    return window(size)[: size * size // 2]


def tiled_sum(x: Array, kernel: Array, offsets: np.ndarray, shape: tuple[int, int], stride: int):
    """sum over offsets o of x[:, i s + o_0, j s + o_1] @ kernel[o, i mod P, j mod P].

    x is [B, H, W, C], the kernel [offsets, P, P, C, F]; the result has `shape` rows and columns:
    [B, rows, columns, F]. x must hold every position that is read.
    """
    period, (rows, columns) = kernel.shape[1], shape
    tiles = (-(-rows // period), -(-columns // period))
    reach = [stride * (tiles[a] * period - 1) + 1 for a in (0, 1)]
    need = [int(offsets[:, a].max()) + reach[a] for a in (0, 1)]
    edge = [(0, 0), *[(0, max(need[a] - x.shape[a + 1], 0)) for a in (0, 1)], (0, 0)]
    x = jnp.pad(x, edge)
    blocks = (x.shape[0], tiles[0], period, tiles[1], period)

    def add(total, inputs):
        offset, weights = inputs
        start = (0, offset[0], offset[1], 0)
        seen = jax.lax.dynamic_slice(x, start, (x.shape[0], *reach, x.shape[3]))
        seen = seen[:, ::stride, ::stride].reshape(*blocks, x.shape[3])
        return total + jnp.einsum("bupvqc,pqcf->bupvqf", seen, weights), None

    total = jnp.zeros((*blocks, kernel.shape[-1]), x.dtype)
    total, _ = jax.lax.scan(add, total, (jnp.asarray(offsets), kernel))
    whole = total.reshape(x.shape[0], tiles[0] * period, tiles[1] * period, kernel.shape[-1])
    return whole[:, :rows, :columns]


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
        out = tiled_sum(x, kernel, window(self.size), shape, self.stride)
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
            return tiled_sum(image, kernel, window(self.size), x.shape[1:3], self.stride)

        (out,) = jax.linear_transpose(forward, image)(x)
        bias = self.param("bias", nn.initializers.zeros, (self.period, self.period, self.features))
        return out + tiled_map(bias, self.shape)


def tiled_kernel(layer: nn.Module, inputs: int, outputs: int) -> Array:
    """The filter banks of a layer: [size^2, P, P, inputs, outputs]."""
    scale = 1.0 / np.sqrt(layer.size**2 * inputs)
    shape = (layer.size**2, layer.period, layer.period, inputs, outputs)
    return layer.param("kernel", nn.initializers.normal(scale), shape)


def tiled_map(banks: Array, shape: tuple[int, int]) -> Array:
    """One value of [P, P, ...] for each position of an image of `shape`: [*shape, ...]."""
    rows, columns = (np.arange(n) % banks.shape[0] for n in shape)
    return banks[rows][:, columns]
