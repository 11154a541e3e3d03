import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import integrate, optimize, stats

from rlvm.inference.conditioning_gap import (
    LinearGaussian,
    UnivariateExample,
    is_nested,
    shared_gaussian,
)

T = 5


def scalar_chain(a=0.9, q=0.3, c=1.0, r=0.5, q1=1.0, steps=T):
    return LinearGaussian(*[np.array([[v]]) for v in (a, q, c, r, q1)], num_timesteps=steps)


def filtering(steps=T):
    return [range(t + 1) for t in range(steps)]


def two_dimensional():
    rng = np.random.default_rng(0)
    a = 0.6 * rng.normal(size=(2, 2))
    q, q1, r = (np.diag(rng.uniform(0.3, 1.0, n)) for n in (2, 2, 3))
    return LinearGaussian(a, q, rng.normal(size=(3, 2)), r, q1, num_timesteps=4)


def test_shared_gaussian_is_the_normalised_geometric_mean():
    weights, means, precisions = [0.3, 0.7], [-1.0, 0.5], [4.0, 1.5]
    scales = np.array(precisions) ** -0.5
    log_mean = lambda z: sum(  # noqa: E731
        w * stats.norm(m, s).logpdf(z) for w, m, s in zip(weights, means, scales, strict=True)
    )
    mass, _ = integrate.quad(lambda z: np.exp(log_mean(z)), -10, 10)
    first, _ = integrate.quad(lambda z: z * np.exp(log_mean(z)) / mass, -10, 10)
    second, _ = integrate.quad(lambda z: z**2 * np.exp(log_mean(z)) / mass, -10, 10)
    mean, precision, gap = shared_gaussian(weights, means, precisions)
    np.testing.assert_allclose(
        [mean, 1 / precision, gap], [first, second - first**2, -np.log(mass)], rtol=1e-7
    )
    # Equal weights and variances: the mean of the means, and (m1 - m2)^2 / (8 s^2).
    np.testing.assert_allclose(
        shared_gaussian([0.5, 0.5], [0.0, 3.0], [4.0, 4.0]), [1.5, 4.0, 9 * 4 / 8]
    )
    with pytest.raises(ValueError, match="expected a distribution"):
        shared_gaussian([0.5, 0.6], [0.0, 1.0], [1.0, 1.0])


def test_section_3_2_has_the_values_derived_for_it():
    example, a = UnivariateExample(), np.sqrt(0.9)
    found = [example.elbo(0.0), example.elbo(a), example.gap(a), example.log_evidence(a)]
    np.testing.assert_allclose(found, [-4.767646, -5.918939, 4.5, -1.418939], rtol=1e-6)
    np.testing.assert_allclose(example.shared_variance(a), 1 / (10 * a**2 + 1))
    # The posterior of the model has the same variance: w is displaced, not sharper.
    np.testing.assert_allclose(example.shared_variance(a), 0.1 / (0.1 + a**2))


def minus_expected_elbo(mean, log_scale, a, r=0.1):
    """-E_x[ELBO] for x ~ N(0, 1) and q = N(mean, scale^2), from its definition."""
    variance = jnp.exp(2 * log_scale)
    reconstruction = 0.5 * (jnp.log(2 * jnp.pi * r) + (1 + a**2 * (mean**2 + variance)) / r)
    return reconstruction + 0.5 * (mean**2 + variance - 1) - log_scale


def test_section_3_2_closed_form_is_what_gradient_descent_finds():
    example = UnivariateExample()
    optimizer, rng = optax.adam(0.02), np.random.default_rng(0)
    x_batches = jnp.asarray(rng.normal(size=(3000, 64)), jnp.float32)

    def sampled(q, a, x, eps):
        """Minus the ELBO of a batch at z = mean + scale eps."""
        mean, log_scale = q
        z = mean + jnp.exp(log_scale) * eps
        log_joint = -0.5 * (jnp.log(2 * jnp.pi * 0.1) + (x - a * z) ** 2 / 0.1 + z**2)
        return -jnp.mean(log_joint + log_scale)

    @jax.jit
    def fit(a):
        def step(carry, inputs):
            q, state, average = carry
            i, x = inputs
            eps = jax.random.normal(jax.random.fold_in(jax.random.key(0), i), x.shape)
            gradient = jax.grad(sampled)(q, a, x, eps)
            update, state = optimizer.update(gradient, state)
            q = optax.apply_updates(q, update)
            late = (i >= 1000) / 2000.0
            return (q, state, jax.tree.map(lambda s, v: s + late * v, average, q)), None

        q = (jnp.float32(1.0), jnp.float32(0.0))
        inputs = (jnp.arange(3000), x_batches)
        return jax.lax.scan(step, (q, optimizer.init(q), (0.0, 0.0)), inputs)[0][2]

    for a in (0.3, float(np.sqrt(0.9))):
        mean, log_scale = fit(a)
        np.testing.assert_allclose(mean, 0.0, atol=0.02)
        np.testing.assert_allclose(np.exp(2 * log_scale), example.shared_variance(a), rtol=0.1)
        elbo = -float(minus_expected_elbo(mean, log_scale, a))
        np.testing.assert_allclose(elbo, example.elbo(a), atol=0.02)
        np.testing.assert_allclose(example.log_evidence(a) - example.gap(a), example.elbo(a))


def test_section_3_2_learned_jointly_ignores_the_latent():
    objective = lambda v: float(minus_expected_elbo(v[0], v[1], v[2]))  # noqa: E731
    best = optimize.minimize(objective, [0.5, -0.5, 0.8], method="Nelder-Mead", tol=1e-6)
    mean, log_scale, a = best.x
    np.testing.assert_allclose([mean, a], 0.0, atol=0.02)
    np.testing.assert_allclose(np.exp(log_scale), 1.0, atol=0.02)
    np.testing.assert_allclose(-best.fun, UnivariateExample().elbo(0.0), atol=1e-3)


def test_filtering_gap_of_the_worked_example():
    gaps = scalar_chain().gaps(filtering())
    np.testing.assert_allclose(gaps.sum(), 0.5898733624, rtol=1e-9)
    np.testing.assert_allclose(gaps, [0.22521, 0.13618, 0.12841, 0.10008, 0.0], atol=5e-6)


def best_expected_elbo(system, observed):
    """E[ELBO] of the best linear-Gaussian q(z_t | z_{t-1}, x_observed), by optimising every q.

    Scalar states and observations; q(z_t) = N(g_t z_{t-1} + w_t' x_observed, v_t). The expected
    ELBO is a function of the joint moments of (x, z), which are written out here step by step.
    """
    steps = system.num_timesteps
    a, q, c, r, q1 = (
        float(m[0, 0])
        for m in (
            system.transition,
            system.transition_cov,
            system.emission,
            system.emission_cov,
            system.initial_cov,
        )
    )
    factor = np.linalg.cholesky(system.observation_cov())  # x = factor e
    sizes = [len(list(s)) for s in observed]

    def unpack(theta):
        position = 0
        for t in range(steps):
            weights = np.zeros(steps)
            weights[list(observed[t])] = theta[position : position + sizes[t]]
            gain = theta[position + sizes[t]] if t else 0.0
            yield weights, gain, theta[position + sizes[t] + 1]
            position += sizes[t] + 2

    def minus_elbo(theta):
        from_e, from_n, total = np.zeros(steps), np.zeros(steps), 0.0  # z = from_e e + from_n n
        for t, (weights, gain, log_scale) in enumerate(unpack(theta)):
            last_e, last_n = from_e, from_n
            from_e, from_n = gain * last_e + weights @ factor, gain * last_n
            from_n = from_n + np.exp(log_scale) * np.eye(steps)[t]
            miss_e = factor[t] - c * from_e
            moved_e, moved_n = from_e - a * last_e * (t > 0), from_n - a * last_n * (t > 0)
            noise = q if t else q1
            total -= 0.5 * (np.log(2 * np.pi * r) + (miss_e @ miss_e + c**2 * from_n @ from_n) / r)
            total -= 0.5 * np.log(2 * np.pi * noise)
            total -= 0.5 * (moved_e @ moved_e + moved_n @ moved_n) / noise
            total += 0.5 * np.log(2 * np.pi * np.e) + log_scale
        return -total

    start = np.zeros(sum(sizes) + 2 * steps)
    found = optimize.minimize(minus_elbo, start, method="BFGS", options={"gtol": 1e-7})
    return -found.fun


def expected_log_evidence(system):
    cov = system.observation_cov()
    return -0.5 * (np.linalg.slogdet(2 * np.pi * cov)[1] + len(cov))


@pytest.mark.parametrize(
    ("observed", "gap"),
    [
        (filtering(), 0.589873),
        ([range(max(3, t + 1)) for t in range(T)], 0.262786),
        ([range(T)] * T, 0.0),
    ],
)
def test_nested_gap_is_what_optimising_every_posterior_leaves(observed, gap):
    system = scalar_chain()
    assert is_nested(observed)
    np.testing.assert_allclose(system.gaps(observed).sum(), gap, atol=1e-6)
    left = expected_log_evidence(system) - best_expected_elbo(system, observed)
    np.testing.assert_allclose(left, gap, atol=1e-5)


@pytest.mark.parametrize(
    ("observed", "bound", "gap"),
    [
        ([range(3), *filtering()[1:]], 0.372782, 0.364209),  # semi, k = 3
        ([[t] for t in range(T)], 0.621380, 0.600470),  # x_t only
    ],
)
def test_gap_that_is_not_nested_is_an_upper_bound(observed, bound, gap):
    system = scalar_chain()
    assert not is_nested(observed)
    np.testing.assert_allclose(system.gaps(observed).sum(), bound, atol=1e-6)
    left = expected_log_evidence(system) - best_expected_elbo(system, observed)
    np.testing.assert_allclose(left, gap, atol=1e-5)


def test_backward_pass_is_gaussian_conditioning():
    """p(z_t | z_{t-1}, x_1:T) from the joint covariance, in two dimensions."""
    system = two_dimensional()
    steps, size, dims = 4, 2, 3
    c = np.kron(np.eye(steps), system.emission)
    cov_z, cov_x = system.state_cov(), system.observation_cov()
    joint = np.block([[cov_z, cov_z @ c.T], [c @ cov_z, cov_x]])
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=steps * dims), rng.normal(size=(steps, size))
    from_x = system.emission.T @ np.linalg.inv(system.emission_cov)
    for t, (lam, h) in enumerate(zip(*system.backward(), strict=True)):
        target = np.arange(t * size, (t + 1) * size)
        last = np.arange((t - 1) * size, t * size) if t else np.array([], int)
        given = np.r_[last, steps * size + np.arange(steps * dims)]
        values = np.r_[z[t - 1] if t else [], x]
        solve = np.linalg.solve(joint[np.ix_(given, given)], joint[np.ix_(given, target)])
        cov = joint[np.ix_(target, target)] - joint[np.ix_(target, given)] @ solve
        np.testing.assert_allclose(np.linalg.inv(lam), cov, rtol=1e-8)
        drift = np.linalg.solve(system.transition_cov, system.transition @ z[t - 1]) if t else 0.0
        mean = np.linalg.solve(lam, from_x @ x[t * dims : (t + 1) * dims] + drift + h @ x)
        np.testing.assert_allclose(mean, solve.T @ values, rtol=1e-7)
        np.testing.assert_allclose(h[:, : (t + 1) * dims], 0.0)  # a function of the future


def kalman_log_evidence(system, x):
    """Log p(x_1:T) by the forward recursion, x [T, D]."""
    mean, cov, total = np.zeros(len(system.transition)), system.initial_cov, 0.0
    for x_t in x:
        predicted = system.emission @ cov @ system.emission.T + system.emission_cov
        total += stats.multivariate_normal(system.emission @ mean, predicted).logpdf(x_t)
        gain = cov @ system.emission.T @ np.linalg.inv(predicted)
        mean = mean + gain @ (x_t - system.emission @ mean)
        cov = cov - gain @ system.emission @ cov
        mean, a = system.transition @ mean, system.transition
        cov = a @ cov @ a.T + system.transition_cov
    return total


def test_log_evidence_is_that_of_the_kalman_filter():
    system, rng = two_dimensional(), np.random.default_rng(2)
    x = rng.normal(size=(3, 4, 3))
    expected = [kalman_log_evidence(system, row) for row in x]
    np.testing.assert_allclose(system.log_evidence(x), expected, rtol=1e-9)


def test_gap_without_the_last_state_is_mean_field():
    system = scalar_chain()
    precision = system.posterior_precision()
    cov = np.linalg.inv(precision)
    factors = np.diag(1 / np.diag(precision))
    # KL(N(m, factors) || N(m, cov)) between Gaussians of equal means.
    kl = 0.5 * (np.trace(precision @ factors) - T + np.linalg.slogdet(cov)[1])
    kl -= 0.5 * np.linalg.slogdet(factors)[1]
    np.testing.assert_allclose(system.mean_field_gap(), kl, rtol=1e-10)


def test_the_gap_vanishes_where_the_paper_says():
    np.testing.assert_allclose(scalar_chain().gaps(filtering())[-1], 0.0)
    almost_deterministic = scalar_chain(q=1e-9).gaps(filtering())
    np.testing.assert_allclose(almost_deterministic[1:], 0.0, atol=1e-6)
    assert almost_deterministic[0] > 0.1
    np.testing.assert_allclose(scalar_chain(r=1e-9).gaps(filtering()), 0.0, atol=1e-6)
