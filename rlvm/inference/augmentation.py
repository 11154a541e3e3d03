"""Training batches made different each time they are seen; one key an example."""

import math

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.types import Array, Batch, Objective


def cropped(batch: Batch, window: int, rng: Array) -> Batch:
    """`window` frames from a random start within each sequence; shorter ones from their first."""
    x, lengths = batch["x"], batch["lengths"]
    window = min(window, x.shape[1])

    def start(key: Array, length: Array) -> Array:
        return jax.random.randint(key, (), 0, jnp.maximum(length - window, 0) + 1)

    starts = jax.vmap(start)(rng, lengths)
    cut = jax.vmap(lambda row, s: jax.lax.dynamic_slice_in_dim(row, s, window))(x, starts)
    return {**batch, "x": cut, "lengths": jnp.minimum(lengths, window)}


def transposed(x: Array, most: int, rng: Array) -> Array:
    """Every sequence moved by the same -most .. most keys, silence moving in: x [B, T, keys]."""
    shifts = jax.vmap(lambda k: jax.random.randint(jax.random.fold_in(k, 5), (), 0, 2 * most + 1))
    padded = jnp.pad(x, [(0, 0), (0, 0), (most, most)])
    cut = lambda row, s: jax.lax.dynamic_slice_in_dim(row, s, x.shape[-1], axis=-1)  # noqa: E731
    return jax.vmap(cut)(padded, shifts(rng))


def shifted(objective: Objective, config: ConfigDict) -> Objective:
    """The objective on images moved, with `probability`, by up to `pixels` down and across.

    From update `until` on images stay where they are, so that the model ends on the data's own
    distribution.
    """

    def moving(params, extra, batch, rng):
        probability = jnp.where(batch["step"] < config.until, config.probability, 0.0)
        x = moved_images(batch["x"], config.pixels, probability, rng)
        return objective(params, extra, {**batch, "x": x}, rng)

    return moving


def moved_images(x: Array, most: int, probability: Array, rng: Array) -> Array:
    """Square images [B, D], each moved with `probability` by -most .. most; zeros move in."""
    side = math.isqrt(x.shape[-1])
    if side * side != x.shape[-1]:
        raise ValueError(f"objective.shift moves square images; x has {x.shape[-1]} pixels.")

    def move(image: Array, key: Array) -> Array:
        whether, where = jax.random.split(jax.random.fold_in(key, 9))
        by = jax.random.randint(where, (2,), -most, most + 1)
        by = jnp.where(jax.random.uniform(whether) < probability, by, 0)
        padded = jnp.pad(image.reshape(side, side), most)
        return jax.lax.dynamic_slice(padded, most + by, (side, side)).reshape(-1)

    return jax.vmap(move)(x, rng)
