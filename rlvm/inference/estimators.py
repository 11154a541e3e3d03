"""How a gradient passes a sampled binary unit: surrogates for `Posterior.sample_with`.

A surrogate maps (logits, uniforms) to units h in {0, 1} and has its own gradient rule in the
logit a, q = sigmoid(a). Score-function estimators draw with `detached` and act in the objective.
"""

import jax
import jax.numpy as jnp

from rlvm.types import Array, Surrogate


def _threshold(logits: Array, noise: Array) -> tuple[Array, Array]:
    q = jax.nn.sigmoid(logits)
    return (noise < q).astype(logits.dtype), q


@jax.custom_vjp
def darn(logits: Array, noise: Array) -> Array:
    """DARN's estimator (eq. 24): dF/da = f'(h) (1 - q(h)) / 2.

    It is the gradient f'(h) / (2 q(h)) in q(h=1) times q (1 - q); exact for f at most quadratic.
    """
    return _threshold(logits, noise)[0]


def _darn_forward(logits, noise):
    h, q = _threshold(logits, noise)
    return h, jnp.where(h > 0, 1 - q, q) / 2


def _scale_backward(scale, gradient):
    return gradient * scale, jnp.zeros_like(gradient)


darn.defvjp(_darn_forward, _scale_backward)


@jax.custom_vjp
def straight_through(logits: Array, noise: Array) -> Array:
    """Straight-through: dF/da = f'(h) q (1 - q); exact for linear f."""
    return _threshold(logits, noise)[0]


def _straight_through_forward(logits, noise):
    h, q = _threshold(logits, noise)
    return h, q * (1 - q)


straight_through.defvjp(_straight_through_forward, _scale_backward)


def detached(logits: Array, noise: Array) -> Array:
    """A draw without a gradient, for score-function estimators."""
    return jax.lax.stop_gradient(_threshold(logits, noise)[0])


SURROGATES: dict[str, Surrogate] = {
    "darn": darn,
    "straight_through": straight_through,
    "reinforce": detached,
    "vimco": detached,
}


def leave_one_out_mean(values: Array) -> Array:
    """For each of K samples [K, ...] the mean of the K - 1 others."""
    return (jnp.sum(values, axis=0) - values) / (values.shape[0] - 1)


def leave_one_out_bound(log_weights: Array) -> Array:
    """VIMCO's baseline: the K-sample bound with w_k replaced by the others' geometric mean.

    log_weights [K, ...] -> [K, ...].
    """
    count = log_weights.shape[0]
    replaced = jnp.where(
        jnp.eye(count, dtype=bool).reshape(count, count, *[1] * (log_weights.ndim - 1)),
        leave_one_out_mean(log_weights)[:, None],
        log_weights[None],
    )
    return jax.nn.logsumexp(replaced, axis=1) - jnp.log(count)
