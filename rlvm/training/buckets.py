"""Gradients of ragged sequences cut to their bucket: one trace for each bucket, not each length."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rlvm.inference.forecast import prefix_of
from rlvm.types import Array, Batch, PyTree

# (params, extra, batch, rng [B]) -> ((loss, (extra, terms)), gradients)
Gradient = Callable[[PyTree, PyTree, Batch, Array], tuple]


def in_buckets(gradient: Gradient, longest: tuple[int, ...]) -> Gradient:
    """`gradient` of x and u cut to the first of the lengths `longest` that holds the whole batch.

    What is cut is padding, which changes no number: the bucket is found from the lengths of the
    batch itself, and every bucket is a branch of one program.
    """
    if len(longest) < 2:
        return gradient

    def branch(length):
        def cut(params, extra, batch, rng):
            return gradient(params, extra, prefix_of(batch, length), rng)

        return cut

    branches = [branch(length) for length in longest]

    def bucketed(params: PyTree, extra: PyTree, batch: Batch, rng: Array):
        bucket = jnp.searchsorted(jnp.asarray(longest), jnp.max(batch["lengths"]))
        return jax.lax.switch(bucket, branches, params, extra, batch, rng)

    return bucketed
