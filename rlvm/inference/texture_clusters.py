"""The baseline of segmentation: k-means on local statistics of an image, without learning.

A pixel is described by the mean, the standard deviation and the mean absolute differences to its
neighbours (right, below, two diagonals) in a Gaussian window around it, each standardised.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rlvm.inference import ami
from rlvm.types import Array, Batch, Terms

WINDOW = 3.0  # standard deviation of the Gaussian, in pixels
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
NUM_ITERATIONS = 20


def local_statistics(x: Array) -> Array:
    """Descriptions of every pixel: x [H, W] -> [H W, 6], mean 0 and variance 1 each."""
    rows, columns = (_window(size) for size in x.shape)

    def around(values: Array) -> Array:
        return rows @ values @ columns.T

    mean = around(x)
    deviation = jnp.sqrt(jnp.maximum(around(jnp.square(x)) - jnp.square(mean), 0.0))
    differences = [around(jnp.abs(x - jnp.roll(x, shift, (0, 1)))) for shift in NEIGHBOURS]
    features = jnp.stack([mean, deviation, *differences], -1).reshape(-1, 2 + len(NEIGHBOURS))
    return (features - features.mean(0)) / jnp.maximum(features.std(0), 1e-6)


def _window(size: int) -> Array:
    """Weights of the pixels around each of `size`, a row each that sums to 1: [S, S]."""
    places = jnp.arange(size)
    weights = jnp.exp(-0.5 * jnp.square((places[:, None] - places) / WINDOW))
    return weights / weights.sum(1, keepdims=True)


def kmeans(points: Array, num_clusters: int) -> Array:
    """Labels [N] of Lloyd's algorithm on points [N, D].

    It starts from the point farthest from the mean, then always the one farthest from those taken.
    """
    taken = points.mean(0)[None]
    for _ in range(num_clusters):
        farthest = jnp.argmax(_distances(points, taken).min(1))
        taken = jnp.concatenate([taken, points[farthest][None]])

    def step(centres: Array, _: None):
        member = jax.nn.one_hot(jnp.argmin(_distances(points, centres), 1), num_clusters)
        count = member.sum(0)[:, None]
        return jnp.where(count > 0, member.T @ points / jnp.maximum(count, 1.0), centres), None

    centres, _ = jax.lax.scan(step, taken[1:], None, NUM_ITERATIONS)
    return jnp.argmin(_distances(points, centres), 1)


def _distances(points: Array, centres: Array) -> Array:
    """Squared distances [N, K]."""
    return jnp.square(points[:, None] - centres).sum(-1)


def score(x: Array, segments: Array) -> Array:
    """AMI of two clusters with digit-or-background: x, segments [B, H, W] -> [B]."""

    def one(pair: tuple[Array, Array]) -> Array:
        labels = kmeans(local_statistics(pair[0]), 2)
        truth = pair[1].reshape(-1)
        return ami.adjusted_mutual_information(labels, truth, jnp.ones(truth.shape), (2, 2))

    return jax.lax.map(one, (x, segments))


def beside(terms: Callable[[Any, Batch, Array], Terms]) -> Callable[[Any, Batch, Array], Terms]:
    """`terms` with `ami_kmeans`, the baseline's score on the same images."""

    def both(model: Any, batch: Batch, keys: Array) -> Terms:
        return {**terms(model, batch, keys), "ami_kmeans": score(batch["x"], batch["segments"])}

    return both
