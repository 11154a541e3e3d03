"""Sums and means over places that are matmuls on CPU, where XLA's reductions are slow.

Other platforms reduce as usual.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from rlvm.types import Array


def columns(x: Array) -> Array:
    """Sum over all but the last axis: x [..., C] -> [C]."""

    def by_matmul(x: Array) -> Array:
        flat = x.reshape(-1, x.shape[-1])
        return jnp.ones(len(flat), x.dtype) @ flat

    def by_reduction(x: Array) -> Array:
        return x.sum(tuple(range(x.ndim - 1)))

    return lax.platform_dependent(x, cpu=by_matmul, default=by_reduction)


def layer_means(x: Array) -> Array:
    """Means over places and channels: x [B, P, G, C] -> [B, 1, G, 1]."""
    batch, places, groups, channels = x.shape

    def by_matmul(x: Array) -> Array:
        share = jnp.eye(groups, dtype=x.dtype) / (places * channels)
        shares = jnp.tile(jnp.repeat(share, channels, axis=0), (places, 1))  # [P G C, G]
        return (x.reshape(batch, -1) @ shares).reshape(batch, 1, groups, 1)

    def by_reduction(x: Array) -> Array:
        return x.mean((1, 3), keepdims=True)

    return lax.platform_dependent(x, cpu=by_matmul, default=by_reduction)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def spread(w: Array, shape: tuple[int, ...]) -> Array:
    """w [C] at every place of `shape` [..., C]; its gradient is summed by `columns`."""
    return jnp.broadcast_to(w, shape)


def _spread(w: Array, shape: tuple[int, ...]):
    return spread(w, shape), None


def _gathered(shape: tuple[int, ...], kept: None, cotangent: Array):
    del shape, kept
    return (columns(cotangent),)


spread.defvjp(_spread, _gathered)
