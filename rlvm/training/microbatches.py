"""Gradient accumulation: a batch's gradient from equal parts of it, one after another."""

import jax
import jax.numpy as jnp

from rlvm.training.buckets import Gradient
from rlvm.types import Array, Batch, PyTree


def in_microbatches(gradient: Gradient, count: int) -> Gradient:
    """`gradient` with the memory of B / count examples: sums in a scan over `count` microbatches.

    Microbatch k holds examples k, k + count, k + 2 count, ..., so that a batch split over devices
    stays where it is. Noise comes with each example's key; the mean is over the real examples of
    the whole batch. Every microbatch sees the same `extra`, and the new ones are averaged, as over
    the devices of pmap.
    """
    if count == 1:
        return gradient

    def accumulated(params: PyTree, extra: PyTree, batch: Batch, rng: Array):
        rows = {name: value for name, value in batch.items() if name != "step"}
        if len(rng) % count:
            raise ValueError(
                f"train.accumulate_steps={count} does not divide the {len(rng)} examples that a "
                "device sees at a step."
            )
        num_real = jnp.maximum(jnp.sum(rows["mask"]), 1.0)

        def add(sums, part):
            rows, rng = part
            fields = {**rows, "step": batch["step"]}
            (loss, (moved, terms)), grads = gradient(params, extra, fields, rng)
            share = jnp.sum(rows["mask"]) / num_real
            parts = (loss, moved, grads)
            return jax.tree.map(lambda total, value: total + share * value, sums, parts), terms

        zeros = jax.tree.map(jnp.zeros_like, (jnp.zeros(()), extra, params))
        parts = jax.tree.map(lambda value: split(value, count), (rows, rng))
        (loss, moved, grads), terms = jax.lax.scan(add, zeros, parts)
        return (loss, (moved, jax.tree.map(join, terms))), grads

    return accumulated


def split(value: Array, count: int) -> Array:
    """[B, ...] -> [count, B / count, ...], taking every count-th row."""
    return jnp.swapaxes(value.reshape(-1, count, *value.shape[1:]), 0, 1)


def join(value: Array) -> Array:
    """[count, B / count, ...] -> [B, ...], the inverse of `split`."""
    return jnp.swapaxes(value, 0, 1).reshape(-1, *value.shape[2:])
