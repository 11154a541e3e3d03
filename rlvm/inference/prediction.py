"""Costs of networks that predict and classify: per frame and per example, in nats.

Frames are axis 1. `frames` [B, T] marks those that count (within a sequence's length); labels below
zero mean an example without a label.
"""

import jax
import jax.numpy as jnp

from rlvm.types import Array, Distribution, Terms


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


def corrupt(x: Array, scale: float, rng: Array) -> Array:
    """x + N(0, scale^2), one key an example: x [B, ...], rng [B]."""
    noise = jax.vmap(lambda key: jax.random.normal(key, x.shape[1:]))(rng)
    return x + scale * noise


def semi_supervised(terms: Terms, labels: Array, weights: dict[str, float]) -> Array:
    """Weighted sum of the costs of each example: [B].

    `class_cost` counts once for each LABELLED example: it is scaled by batch size / labelled, so
    that its weight against the unsupervised costs does not depend on how many labels a batch has.
    """
    labelled = (labels >= 0).astype(jnp.float32)
    share = labelled.mean()
    total = jnp.zeros(labels.shape)
    for name, weight in weights.items():
        value = terms[name]
        if name == "class_cost":
            value = value / jnp.maximum(share, 1.0 / len(labels))
        total = total + weight * value
    return total
