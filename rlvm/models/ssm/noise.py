"""Noise that belongs to the example: draws of any shape for each key of an array of keys."""

import jax

from rlvm.types import Array


def normals(rng: Array, shape: tuple[int, ...]) -> Array:
    """Standard normal draws of `shape` for each key: [*rng.shape, *shape].

    The first steps of a longer draw equal those of a shorter one (threefry, partitionable), so that
    padding a sequence changes none of its noise.
    """
    flat = jax.vmap(lambda key: jax.random.normal(key, shape))(rng.reshape(-1))
    return flat.reshape(*rng.shape, *shape)
