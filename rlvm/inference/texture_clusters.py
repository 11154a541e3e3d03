"""Baselines of segmentation: k-means on local statistics of an image, and one mask for all images.

The first learns nothing from other images, the second does not look at its own. For k-means a pixel
is described by the mean, the standard deviation and the mean absolute differences to its neighbours
(right, below, two diagonals) in a Gaussian window around it, each standardised.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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
    labels = jax.lax.map(lambda image: kmeans(local_statistics(image), 2), x)
    return ami.image_scores(labels, segments, (2, 2))


def usual_place(segments: np.ndarray) -> np.ndarray:
    """Where more than half of the images have their digit: segments [N, H, W] -> [H, W]."""
    return (np.mean(segments, axis=0) > 0.5).astype(np.int32)


def place_score(place: Array, segments: Array) -> Array:
    """AMI of one mask [H, W] with each image's digit-or-background [B, H, W]: [B]."""
    return ami.image_scores(jnp.broadcast_to(place, segments.shape), segments, (2, 2))


def beside(
    terms: Callable[[Any, Batch, Array], Terms], place: np.ndarray
) -> Callable[[Any, Batch, Array], Terms]:
    """`terms` with the baselines' scores on the same images: `ami_kmeans`, and `ami_place`."""

    def all_scores(model: Any, batch: Batch, keys: Array) -> Terms:
        segments = batch["segments"]
        baselines = {
            "ami_kmeans": score(batch["x"], segments),
            "ami_place": place_score(jnp.asarray(place), segments),
        }
        return {**terms(model, batch, keys), **baselines}

    return all_scores
