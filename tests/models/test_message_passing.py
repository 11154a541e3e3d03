"""Appendices B and C: the linear ladder against exact Gaussian posteriors (float64 NumPy)."""

import jax.numpy as jnp
import numpy as np
import pytest

from rlvm.models.ladder import message_passing as mp


def static_setting(seed):
    rng = np.random.default_rng(seed)
    w_x, w_yz, mu_z, noisy = rng.normal(size=4)
    s_x, s_y, s_z, s = rng.uniform(0.3, 2, 4)
    return mp.StaticChain(w_x, w_yz, mu_z, s, s_x, s_y, s_z), noisy


def exact_static(chain, noisy):
    """Posterior means and precision of (x, y, z)."""
    c = chain
    off_xy, off_yz = -c.w_x / c.s_x, -c.w_yz / c.s_y
    precision = np.array(
        [
            [1 / c.s + 1 / c.s_x, off_xy, 0],
            [off_xy, 1 / c.s_y + c.w_x**2 / c.s_x, off_yz],
            [0, off_yz, 1 / c.s_z + c.w_yz**2 / c.s_y],
        ]
    )
    right = np.array([noisy / c.s, 0, c.mu_z / c.s_z])
    return precision, right


def gauss_seidel(precision, right, means, order):
    means = means.copy()
    for i in order:
        means[i] += (right[i] - precision[i] @ means) / precision[i, i]
    return means


@pytest.mark.parametrize("seed", range(4))
def test_one_static_pass_is_one_symmetric_sweep(seed):
    chain, noisy = static_setting(seed)
    precision, right = exact_static(chain, noisy)
    start = np.random.default_rng(seed).normal(size=3)
    want = gauss_seidel(precision, right, start, [0, 1, 2, 1, 0])
    got = mp.static_iteration(chain, jnp.asarray(start), noisy)
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_static_iterations_reach_the_posterior_at_their_rate(seed):
    chain, noisy = static_setting(seed)
    precision, right = exact_static(chain, noisy)
    means = np.asarray(mp.static_ladder(chain, noisy, 200))
    exact = np.linalg.solve(precision, right)
    np.testing.assert_allclose(means[-1], exact, rtol=1e-4, atol=1e-5)
    v_x, v_y, v_z = np.asarray(mp.static_variances(chain), float)
    np.testing.assert_allclose([v_x, v_y, v_z], 1 / np.diag(precision), rtol=1e-5)
    assert (np.array([v_x, v_y, v_z]) <= np.diag(np.linalg.inv(precision)) + 1e-6).all()
    alpha = v_x * v_y * chain.w_x**2 / chain.s_x**2
    beta = v_y * v_z * chain.w_yz**2 / chain.s_y**2
    t = alpha + beta + alpha * beta
    rate = (t + np.sqrt(t * t - 4 * alpha * beta)) / 2

    def sweep(e):
        return gauss_seidel(precision, np.zeros(3), e, [0, 1, 2, 1, 0])

    matrix = np.stack([sweep(unit) for unit in np.eye(3)], 1)
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(matrix)).max(), rate, rtol=1e-5)


def test_the_fixed_point_denoises():
    chain, noisy = static_setting(9)
    c = chain
    total = c.s_x + c.w_x**2 * (c.s_y + c.w_yz**2 * c.s_z)
    want = (total * noisy + c.s * c.w_x * c.w_yz * c.mu_z) / (total + c.s)
    np.testing.assert_allclose(mp.static_ladder(chain, noisy, 200)[-1, 0], want, rtol=1e-4)


def temporal_setting(seed, levels, keep_x=True):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0.4, 0.9, levels + 1), rng.uniform(0.4, 1, levels + 1)
    b[levels] = 0
    if not keep_x:
        a[0] = 0
    chain = mp.TemporalChain(*map(jnp.asarray, (a, b, rng.uniform(0.3, 1.5, levels + 1))))
    return chain, rng.normal(size=levels), *rng.normal(size=2)


def clamped(chain, past, x_past, x):
    """Precision and right-hand side of p(levels | x, the past at its means)."""
    a, b, s = (np.asarray(v, float) for v in chain)
    levels = len(a) - 1
    precision, right = np.diag(1 / s[1:]), a[1:] * past / s[1:]
    precision[0, 0] += b[0] ** 2 / s[0]
    right[0] += b[0] * (x - a[0] * x_past) / s[0]
    for i in range(levels - 1):
        k = i + 1  # level k is N(a_k past + b_k level k+1, s_k)
        precision[k, k] += b[k] ** 2 / s[k]
        precision[i, k] -= b[k] / s[k]
        precision[k, i] -= b[k] / s[k]
        right[k] -= b[k] * a[k] * past[i] / s[k]
    return precision, right


@pytest.mark.parametrize("keep_x", [True, False])
@pytest.mark.parametrize("levels", [1, 2, 4])
def test_one_temporal_step_is_one_sweep_from_the_prediction(levels, keep_x):
    chain, past, x_past, x = temporal_setting(levels, levels, keep_x)
    precision, right = clamped(chain, past, x_past, x)
    predicted = np.asarray(mp.predict(chain, past, x_past), float)
    a, b, _ = (np.asarray(v, float) for v in chain)
    np.testing.assert_allclose(predicted[0], a[0] * x_past + b[0] * predicted[1], rtol=1e-5)
    order = [*range(levels), *range(levels - 2, -1, -1)]
    want = gauss_seidel(precision, right, predicted[1:], order)
    step = mp.temporal_step(chain, past, x_past, x)
    np.testing.assert_allclose(step.means, want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(step.prediction, predicted[0], rtol=1e-5)
    variances = np.asarray(mp.temporal_variances(chain))
    np.testing.assert_allclose(variances, 1 / np.diag(precision), rtol=1e-5)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_sweeps_reach_the_posterior_with_the_past_clamped(levels):
    chain, past, x_past, x = temporal_setting(levels + 10, levels)
    precision, right = clamped(chain, past, x_past, x)
    step = mp.temporal_step(chain, past, x_past, x, num_sweeps=60)
    np.testing.assert_allclose(step.means, np.linalg.solve(precision, right), rtol=1e-3, atol=1e-4)


def test_two_levels_in_closed_form():
    chain, past, x_past, x = temporal_setting(3, 2)
    v = np.asarray(mp.temporal_variances(chain), float)
    _, b, s = (np.asarray(value, float) for value in chain)
    r = (v[0] * b[1] / s[1]) * (v[1] * b[1] / s[1])
    predicted = np.asarray(mp.predict(chain, past, x_past), float)
    first = v[0] * b[0] / s[0] * (x - predicted[0])
    one = mp.temporal_step(chain, past, x_past, x).means[0]
    many = mp.temporal_step(chain, past, x_past, x, num_sweeps=60).means[0]
    np.testing.assert_allclose(one, predicted[1] + (1 + r) * first, rtol=1e-4)
    np.testing.assert_allclose(many, predicted[1] + first / (1 - r), rtol=1e-4)


def kalman_means(chain, start, xs):
    """Filtering means of (level 1, level 2) for L = 2, the levels before t = 1 known."""
    a, b, s = (np.asarray(value, float) for value in chain)
    transition = np.array([[a[1], b[1] * a[2]], [0, a[2]]])
    spread = np.array([[1, b[1]], [0, 1]])
    noise = spread @ np.diag(s[1:]) @ spread.T
    mean, cov, means, x_past = start, np.zeros((2, 2)), [], 0.0
    for x in xs:
        mean, cov = transition @ mean, transition @ cov @ transition.T + noise
        gain = cov[:, 0] * b[0] / (b[0] ** 2 * cov[0, 0] + s[0])
        mean = mean + gain * (x - a[0] * x_past - b[0] * mean[0])
        cov = cov - np.outer(gain, b[0] * cov[0])
        means.append(mean)
        x_past = x
    return np.array(means)


def test_equal_to_the_kalman_filter_at_first_and_different_after():
    chain, start, _, _ = temporal_setting(5, 2)
    xs = np.random.default_rng(1).normal(size=4)
    past, x_past, means = start, 0.0, []
    for x in xs:
        past = np.asarray(mp.temporal_step(chain, past, x_past, x, num_sweeps=60).means)
        x_past = x
        means.append(past)
    distance = np.abs(np.array(means) - kalman_means(chain, start, xs)).max(1)
    assert distance[0] < 1e-4 and (distance[1:] > 1e-3).all()
