import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from test_particle_filter import GAIN, A, C, R, X, kalman, linear_gaussian

from rlvm.inference.forecast import covered, crps, forecast, kde_log_density


def test_crps_is_that_of_a_gaussian():
    """sigma [w (2 Phi(w) - 1) + 2 phi(w) - 1/sqrt(pi)], w = (y - mu)/sigma."""
    rng, truth = np.random.default_rng(0), np.array([-1.0, 0.5, 3.0])
    w = (truth - 0.3) / 2.0
    exact = 2.0 * (w * (2 * stats.norm.cdf(w) - 1) + 2 * stats.norm.pdf(w) - np.pi**-0.5)
    found = crps(rng.normal(0.3, 2.0, (100_000, 3)), truth)
    np.testing.assert_allclose(found, exact, atol=0.03)


def test_crps_of_few_samples_is_its_double_sum_and_unbiased():
    rng = np.random.default_rng(1)
    samples, truth = rng.normal(size=(4, 7)), rng.normal(size=7)
    pairs = np.abs(samples[:, None] - samples[None]).sum(axis=(0, 1)) / (4 * 3)
    expected = np.abs(samples - truth).mean(axis=0) - pairs / 2
    np.testing.assert_allclose(crps(samples, truth), expected, rtol=1e-12)
    many = crps(rng.normal(size=(3, 200_000)), 0.0).mean()
    np.testing.assert_allclose(many, 2 * stats.norm.pdf(0) - np.pi**-0.5, atol=0.005)
    with pytest.raises(ValueError, match="expected at least 2"):
        crps(samples[:1], truth)


def test_bands_cover_their_level():
    rng = np.random.default_rng(2)
    samples, truth = rng.normal(size=(400, 20_000)), rng.normal(size=20_000)
    for level in (0.5, 0.9):
        np.testing.assert_allclose(covered(samples, truth, level).mean(), level, atol=0.02)
    assert not covered(samples, np.full(20_000, 9.0), 0.9).any()


def test_kernel_density_is_that_of_the_sampled_law():
    rng, truth = np.random.default_rng(3), np.array([[0.2, -0.4], [1.0, 1.0]])
    scales = np.array([1.0, 2.0])
    samples = rng.normal(size=(20_000, 2, 2)) * scales
    expected = stats.norm(0, scales).logpdf(truth).sum(axis=-1)
    np.testing.assert_allclose(kde_log_density(samples, truth), expected, atol=0.1)


def test_kernel_density_is_its_sum_over_samples():
    """Mean of N(x_s, n^(-2/(d+4)) Cov) at the truth: Scott's bandwidth, in two dimensions."""
    rng = np.random.default_rng(4)
    samples, truth = rng.normal(size=(7, 1, 2)) @ [[1.0, 0.5], [0.0, 2.0]], np.array([[0.3, 0.1]])
    kernel_cov = 7 ** (-2 / 6) * np.cov(samples[:, 0].T)
    kernels = [stats.multivariate_normal(x, kernel_cov).pdf(truth[0]) for x in samples[:, 0]]
    np.testing.assert_allclose(kde_log_density(samples, truth), [np.log(np.mean(kernels))])


def test_forecasts_of_a_linear_system_are_those_of_kalman():
    model, params = linear_gaussian()
    prefix, num = 3, 4000
    batch = {"x": jnp.asarray(X, jnp.float32)[None], "mask": jnp.ones(1)}

    @jax.jit
    def go(rng):
        return forecast(model.bind(params), batch, rng, prefix, num, num)

    samples = go(jax.random.split(jax.random.key(0), 1))
    assert samples.shape == (num, 1, 2, 1)
    _, means = kalman(X[:prefix])
    # The filtering covariance does not depend on x: the Riccati recursion.
    cov = np.eye(2)
    for t in range(prefix):
        cov = A @ cov @ A.T + np.diag(GAIN**2) if t else cov
        cov = cov - cov @ C.T @ C @ cov / (C @ cov @ C.T + R)
    mean = means[-1]
    for t in range(2):
        mean, cov = A @ mean, A @ cov @ A.T + np.diag(GAIN**2)
        scale = (C @ cov @ C.T + R).item() ** 0.5
        np.testing.assert_allclose(samples[:, 0, t].mean(), (C @ mean).item(), atol=0.08)
        np.testing.assert_allclose(samples[:, 0, t].std(), scale, rtol=0.05)


def test_forecasts_follow_the_future_controls():
    from rlvm.models.ssm import StateSpaceModel, preset

    layers = {"sizes": (4,), "activations": ("tanh",)}
    model = StateSpaceModel(1, 2, 1, preset("partial"), emission={**layers, "kind": "gaussian"})
    batch = {"x": jnp.zeros((2, 6, 1)), "u": jnp.zeros((2, 6, 1)), "mask": jnp.ones(2)}
    params = jax.jit(model.init)(jax.random.key(0), batch)
    rng = jax.random.split(jax.random.key(1), 2)

    @jax.jit
    def go(u):
        return forecast(model.bind(params), {**batch, "u": u}, rng, 3, 5, 10)

    base = go(batch["u"])
    moved = np.asarray(go(batch["u"].at[:, 3].set(4.0)) != base)  # u_4 moves z_5, that is step 4
    assert not moved[:, :, 0].any()
    assert moved[:, :, 1:].all()
    assert not np.asarray(go(batch["u"].at[:, 5].set(4.0)) != base).any()


def test_a_prefix_must_leave_a_future():
    model, params = linear_gaussian()
    batch = {"x": jnp.asarray(X, jnp.float32)[None]}
    for prefix in (0, 5):
        with pytest.raises(ValueError, match="expected 1 to 4"):
            forecast(
                model.bind(params), batch, jax.random.split(jax.random.key(0), 1), prefix, 2, 2
            )
