"""Costs of networks that predict and classify: per frame and per example, in nats.

Frames are axis 1. `frames` [B, T] marks those that count (within a sequence's length); labels below
zero mean an example without a label.
"""

import jax
import jax.numpy as jnp

from rlvm.types import Array, Batch, Distribution, Terms


def classification_cost(logits: Array, labels: Array) -> Array:
    """-log p(label), zero without a label: logits [B, C], labels [B] -> [B]."""
    log_p = jax.nn.log_softmax(logits)
    chosen = jnp.take_along_axis(log_p, jnp.maximum(labels, 0)[:, None], axis=-1)[:, 0]
    return jnp.where(labels >= 0, -chosen, 0.0)


def classification_error(logits: Array, labels: Array) -> Array:
    """1.0 where the likeliest class is not the label, 0.0 elsewhere and without a label: [B]."""
    wrong = jnp.argmax(logits, -1) != labels
    return jnp.where(labels >= 0, wrong.astype(jnp.float32), 0.0)


def next_frame_cost(prediction: Distribution, x: Array, frames: Array) -> Array:
    """-log p(x_{t+1} | x_1..t) for t = 1 .. T-1: [B, T-1], zero past the end.

    `prediction` has batch shape [B, T]; the first frame is not predicted and does not count.
    """
    following = jnp.concatenate([x[:, 1:], x[:, :1]], axis=1)  # the last is dropped below
    log_p = prediction.log_prob(following)[:, :-1]
    return jnp.where(frames[:, 1:] > 0, -log_p, 0.0)


def squared_error(mean: Array, x: Array, frames: Array) -> Array:
    """sum over units of (x_{t+1} - mean_t)^2 for t = 1 .. T-1: [B, T-1], zero past the end."""
    error = jnp.square(mean[:, :-1] - x[:, 1:]).reshape(len(x), x.shape[1] - 1, -1).sum(-1)
    return jnp.where(frames[:, 1:] > 0, error, 0.0)


def denoising_cost(prediction: Distribution, x: Array) -> Array:
    """-log p(clean x) in every iteration: [B, N]; `prediction` has batch shape [B, N]."""
    return -prediction.log_prob(x[:, None])


def segment_cost(log_m: Array, segments: Array) -> Array:
    """-log of the masks at the true segments, groups named as they fit best: [B, N], in nats.

    log_m [B, N, K, H, W, 1], segments [B, H, W] of 0 and 1. In every iteration one group is named
    the digit and another the background; pixels count alike.
    """
    masks, inside = log_m[..., 0], segments[:, None, None].astype(log_m.dtype)
    digit = (inside * masks).sum((-2, -1))  # [B, N, K]: log-probability that k has it all
    ground = ((1.0 - inside) * masks).sum((-2, -1))
    pairs = digit[..., :, None] + ground[..., None, :]
    same = jnp.eye(log_m.shape[2], dtype=bool)
    return -jnp.where(same, -jnp.inf, pairs).max((-2, -1))


def corrupt(x: Array, scale: float, rng: Array) -> Array:
    """x + N(0, scale^2), one key an example: x [B, ...], rng [B]."""
    noise = jax.vmap(lambda key: jax.random.normal(key, x.shape[1:]))(rng)
    return x + scale * noise


def drop(x: Array, rate: float, rng: Array) -> Array:
    """x with each value set to zero with probability `rate`, one key an example."""
    keys = jax.vmap(lambda key: jax.random.fold_in(key, 3))(rng)
    keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1.0 - rate, x.shape[1:]))(keys)
    return jnp.where(keep, x, 0.0)


def frame_mask(batch: Batch) -> Array:
    """1.0 for the frames of x [B, T, ...] within each sequence's length: [B, T]."""
    num_frames = batch["x"].shape[1]
    if "lengths" not in batch:
        return jnp.ones((len(batch["x"]), num_frames))
    return (jnp.arange(num_frames) < batch["lengths"][:, None]).astype(jnp.float32)


def weighted_mean(values: Array, weights: Array) -> Array:
    """Mean of values [B] with weights [B]: 1.0 for real examples, 0.0 for padding."""
    return jnp.sum(jnp.where(weights > 0, values, 0.0)) / jnp.maximum(weights.sum(), 1.0)


def semi_supervised(terms: Terms, labels: Array, mask: Array, weights: dict[str, float]) -> Array:
    """Weighted sum of the costs of each example: [B].

    `class_cost` counts once for each LABELLED example: it is scaled by real / labelled examples, so
    that its weight against the other costs does not depend on how many labels a batch has.
    """
    labelled = jnp.sum(mask * (labels >= 0))
    cost = jnp.zeros(mask.shape)
    for name, weight in weights.items():
        scale = mask.sum() / jnp.maximum(labelled, 1.0) if name == "class_cost" else 1.0
        cost += weight * scale * terms[name]
    return cost
