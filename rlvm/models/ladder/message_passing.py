"""The linear Gaussian ladders of appendices B and C: the cells are exact variational updates.

Both are symmetric Gauss-Seidel sweeps, bottom-up then top-down, on the posterior precision, so they
converge geometrically to the exact posterior means; the variances need no iteration and are those
of the mean-field posterior, 1 / Lambda_ii.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvm.types import Array


class StaticChain(NamedTuple):
    """p(z) = N(mu_z, s_z), p(y|z) = N(w_yz z, s_y), p(x|y) = N(w_x y, s_x), p(x~|x) = N(x, s).

    The s are variances (eqs. 7-11).
    """

    w_x: Array
    w_yz: Array
    mu_z: Array
    s: Array
    s_x: Array
    s_y: Array
    s_z: Array


def static_variances(chain: StaticChain) -> Array:
    """(v_x, v_y, v_z) of q, the inverse precisions of eqs. 17-19."""
    precisions = (
        1 / chain.s + 1 / chain.s_x,
        1 / chain.s_y + chain.w_x**2 / chain.s_x,
        1 / chain.s_z + chain.w_yz**2 / chain.s_y,
    )
    return 1 / jnp.stack(precisions)


def static_iteration(chain: StaticChain, means: Array, noisy: Array) -> Array:
    """One pass of the ladder, encoder x, y, z then decoder y, x: means (m_x, m_y, m_z)."""
    v_x, v_y, v_z = static_variances(chain)
    _, m_y, m_z = means
    gate_x, gate_y = v_x / chain.s, v_y * chain.w_x**2 / chain.s_x

    def update_x(m_y: Array) -> Array:
        return gate_x * noisy + (1 - gate_x) * chain.w_x * m_y

    def update_y(m_x: Array, m_z: Array) -> Array:
        return v_y * chain.w_x * m_x / chain.s_x + (1 - gate_y) * chain.w_yz * m_z

    m_x = update_x(m_y)
    m_y = update_y(m_x, m_z)
    m_z = v_z * (chain.mu_z / chain.s_z + chain.w_yz * m_y / chain.s_y)
    m_y = update_y(m_x, m_z)
    return jnp.stack([update_x(m_y), m_y, m_z])


def static_ladder(chain: StaticChain, noisy: Array, num_iterations: int) -> Array:
    """Means after every iteration, from zero: [num_iterations, 3]."""

    def step(means: Array, _: None):
        means = static_iteration(chain, means, noisy)
        return means, means

    return jax.lax.scan(step, jnp.zeros(3, jnp.result_type(float)), None, num_iterations)[1]


class TemporalChain(NamedTuple):
    """Level l at time t is N(a_l s_{l,t-1} + b_l s_{l+1,t}, variance_l); level 0 is observed.

    Arrays [L + 1]; the top has no level above it: b_L = 0 (eqs. 20-22 for L = 2).
    """

    a: Array
    b: Array
    variance: Array


class Step(NamedTuple):
    """What the ladder computes at one time: the prediction of x, and the means [L]."""

    prediction: Array
    means: Array


def temporal_variances(chain: TemporalChain) -> Array:
    """v_l = 1 / (1 / variance_l + b_{l-1}^2 / variance_{l-1}) for l = 1 .. L."""
    return 1 / (1 / chain.variance[1:] + chain.b[:-1] ** 2 / chain.variance[:-1])


def temporal_step(
    chain: TemporalChain, past: Array, x_past: Array, x: Array, num_sweeps: int = 1
) -> Step:
    """Next-step decoder from `past` [L], then encoder and same-step decoder on x (eqs. 23-31).

    The first sweep is one ladder iteration; more of them tend to the posterior mean given x and the
    past clamped at its means, which is not the Kalman filter's.
    """
    v = temporal_variances(chain)
    up, down = v * chain.b[:-1] / chain.variance[:-1], v * chain.b[1:] / chain.variance[1:]
    predicted = predict(chain, past, x_past)
    innovation = x - predicted[0]
    offsets = jnp.zeros_like(past)  # means minus their predictions
    for _ in range(num_sweeps):
        offsets = sweep(up, down, offsets, innovation)
    return Step(predicted[0], predicted[1:] + offsets)


def predict(chain: TemporalChain, past: Array, x_past: Array) -> Array:
    """m'_l = a_l m_{l,t-1} + b_l m'_{l+1}, top-down; m'_0 is the prediction of x: [L + 1]."""
    own = chain.a * jnp.concatenate([jnp.atleast_1d(x_past), past])
    signal, levels = jnp.zeros(()), []
    for level in range(len(own) - 1, -1, -1):
        signal = own[level] + chain.b[level] * signal
        levels.append(signal)
    return jnp.stack(levels[::-1])


def sweep(up: Array, down: Array, offsets: Array, innovation: Array) -> Array:
    """Encoder then decoder on the means' offsets from their predictions: [L].

    Encoder, bottom-up: o_l = K_l o_{l-1} + D_l o_{l+1}, o_0 the innovation; decoder, top-down, the
    same sum with the levels above now corrected.
    """
    values = [innovation, *offsets, jnp.zeros(())]
    top = len(offsets)
    for level in [*range(1, top + 1), *range(top - 1, 0, -1)]:
        values[level] = up[level - 1] * values[level - 1] + down[level - 1] * values[level + 1]
    return jnp.stack(values[1:-1])
