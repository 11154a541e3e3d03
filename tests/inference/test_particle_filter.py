import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy import stats

from rlvm.inference.likelihood import bound
from rlvm.inference.objectives import make
from rlvm.inference.particle_filter import ancestors, effective_size, particle_filter
from rlvm.models.ssm import StateSpaceModel, preset

A = np.array([[0.9, 0.3], [-0.2, 0.7]])
GAIN = np.array([0.6, 0.4])
C = np.array([[1.0, 0.5]])
R = 0.5
T = 5
LAYERS = {"sizes": (4,), "activations": ("tanh",)}


def linear_gaussian(inference="residual", conditioning="full"):
    """The linear-Gaussian system above as a state-space model; z_1 ~ N(0, I)."""
    model = StateSpaceModel(
        observation_dim=1,
        state_dim=2,
        conditioning=preset(conditioning),
        inference=inference,
        flow={"num_flows": 0},
        transition={"kind": "plain", "sizes": (), "activations": (), "initial_gain": 1.0},
        emission={"kind": "gaussian", "sizes": (), "activations": (), "scale": R**0.5},
        features={"size": 4},
        prefix=LAYERS,
        inverse_initial=LAYERS,
        inverse_residual=LAYERS,
        initial_scale=1.1,
    )
    batch = {"x": jnp.zeros((1, T, 1)), "mask": jnp.ones(1)}
    params = jax.jit(model.init)(jax.random.key(3), batch)["params"]
    raw_gain = np.log(np.expm1(GAIN - 1e-4)) - np.log(np.expm1(1.0))
    params["dynamics"]["from_state"] = {
        "kernel": jnp.asarray(np.hstack([A.T, np.zeros((2, 2))]), jnp.float32),
        "bias": jnp.asarray(np.r_[0.0, 0.0, raw_gain], jnp.float32),
    }
    params["emissions"]["heads"] = {"kernel": jnp.asarray(C.T, jnp.float32), "bias": jnp.zeros(1)}
    return model, {"params": params}


def kalman(x):
    """(log p(x_1:T), filtering means [T, 2]) in float64."""
    mean, cov, log_p, means = np.zeros(2), np.eye(2), 0.0, []
    for t, x_t in enumerate(np.asarray(x, np.float64)):
        if t:
            mean, cov = A @ mean, A @ cov @ A.T + np.diag(GAIN**2)
        if not np.isnan(x_t[0]):
            variance = C @ cov @ C.T + R
            log_p += stats.norm(C @ mean, variance[0] ** 0.5).logpdf(x_t)[0]
            gain = cov @ C.T / variance
            mean, cov = mean + gain @ (x_t - C @ mean), cov - gain @ C @ cov
        means.append(mean)
    return log_p, np.array(means)


X = np.array([1.2, -0.4, 0.9, 2.0, 0.3])[:, None]


@functools.cache
def compiled(num, repeats, scheme="systematic", guided=False, inference="residual"):
    """(keys, threshold) -> filters of the same sequence under `repeats` keys."""
    model, params = linear_gaussian(inference)
    batch = {"x": jnp.broadcast_to(jnp.asarray(X, jnp.float32), (repeats, T, 1))}

    def go(rng, threshold):
        steps = model.bind(params).filter_steps(batch, guided)
        return particle_filter(steps, rng, num, scheme, threshold)

    return jax.jit(go)


def run(num, repeats, *choices, threshold=0.7):
    """The filters, and the exact log evidence and means."""
    rng = jax.random.split(jax.random.key(0), repeats)
    return compiled(num, repeats, *choices)(rng, threshold), *kalman(X)


@pytest.mark.parametrize(
    ("scheme", "guided", "inference"),
    [
        ("systematic", False, "residual"),
        ("stratified", False, "residual"),
        ("multinomial", False, "residual"),
        ("systematic", True, "residual"),
        ("systematic", True, "state"),
    ],
)
def test_evidence_is_unbiased_and_means_are_those_of_kalman(scheme, guided, inference):
    filtered, log_p, means = run(300, 500, scheme, guided, inference)
    ratio = np.exp(np.asarray(filtered.log_evidence, np.float64) - log_p)
    error = ratio.std() / np.sqrt(ratio.size)
    assert error < 0.02
    np.testing.assert_allclose(ratio.mean(), 1.0, atol=4 * error)
    # Means are biased by O(1/N), but p^(x_1:t) E^[z_t | x_1:t] is not.
    evidence = np.exp(np.cumsum(filtered.log_increments, axis=1))[..., None]
    unbiased = (evidence * filtered.means["states"]).mean(axis=0) / evidence.mean(axis=0)
    np.testing.assert_allclose(unbiased, means, atol=0.05)
    np.testing.assert_allclose(
        filtered.log_increments.sum(axis=1), filtered.log_evidence, rtol=1e-5
    )


def test_thousands_of_particles_meet_kalman_in_one_filter():
    filtered, log_p, means = run(20_000, 1)
    np.testing.assert_allclose(filtered.log_evidence[0], log_p, atol=0.05)
    np.testing.assert_allclose(filtered.means["states"][0], means, atol=0.04)


def test_without_resampling_it_is_importance_sampling():
    filtered, log_p, _ = run(300, 500, "systematic", False, "residual", threshold=0.0)
    sizes = np.asarray(filtered.effective_sizes)
    np.testing.assert_allclose(effective_size(filtered.log_weights), sizes[:, -1], rtol=1e-4)
    assert sizes[:, -1].mean() < 0.25 * sizes[:, 0].mean()
    ratio = np.exp(np.asarray(filtered.log_evidence, np.float64) - log_p)
    np.testing.assert_allclose(ratio.mean(), 1.0, atol=4 * ratio.std() / np.sqrt(500))
    resampled, _, _ = run(300, 500, "systematic", False, "residual")
    assert resampled.log_evidence.std() < filtered.log_evidence.std()


@pytest.mark.parametrize("guided", [False, True])
def test_missing_steps_and_padding_count_for_nothing(guided):
    model, params = linear_gaussian()
    missing = jnp.asarray(X, jnp.float32).at[2].set(jnp.nan)
    padded = jnp.full((1, T + 3, 1), 9.0).at[0, :T].set(missing)
    batch = {"x": padded, "lengths": jnp.array([T])}

    @jax.jit
    def go(rng):
        return particle_filter(model.bind(params).filter_steps(batch, guided), rng, 20_000)

    filtered = go(jax.random.split(jax.random.key(1), 1))
    exact, means = kalman(missing)
    np.testing.assert_allclose(filtered.log_evidence[0], exact, atol=0.05)
    np.testing.assert_allclose(filtered.log_increments[0, T:], 0.0, atol=1e-5)
    np.testing.assert_allclose(filtered.means["states"][0, :T], means, atol=0.04)


@pytest.mark.parametrize("scheme", ["systematic", "stratified", "multinomial"])
def test_resampling_keeps_proportions(scheme):
    weights, num, repeats = np.array([0.5, 0.0, 0.3, 0.17, 0.03]), 40, 2000
    log_weights = jnp.log(jnp.broadcast_to(jnp.asarray(weights)[:, None], (5, repeats)))
    rng = jax.random.split(jax.random.key(2), repeats)
    index = jax.jit(ancestors, static_argnums=(2, 3))(rng, log_weights, num, scheme)
    assert index.shape == (num, repeats)
    counts = (np.asarray(index)[..., None] == np.arange(5)).sum(axis=0)  # [repeats, 5]
    error = counts.std(axis=0) / np.sqrt(repeats)
    np.testing.assert_array_less(np.abs(counts.mean(axis=0) - num * weights), 4 * error + 0.02)
    spread = np.abs(counts - num * weights).max(axis=0)
    if scheme == "systematic":
        assert (spread < 1.001).all()
    if scheme == "stratified":
        assert (spread < 2.001).all()
    if scheme == "multinomial":
        np.testing.assert_allclose(counts.var(axis=0), num * weights * (1 - weights), rtol=0.15)


def test_fivo_lies_between_the_bound_and_the_evidence_and_trains_all_parts():
    """One particle is the ELBO of a path; with more the bound tightens to -log p(x)."""
    model, params = linear_gaussian()
    config = ConfigDict({"name": "fivo", "estimator": "darn", "kl_warmup_steps": 0})
    config.free_bits = 0.0
    batch = {"x": jnp.broadcast_to(jnp.asarray(X, jnp.float32), (2000, T, 1))}
    batch["mask"], rng = jnp.ones(2000), jax.random.split(jax.random.key(5), 2000)

    def losses(num, name="fivo"):
        config.num_samples, config.name = num, name
        objective = jax.jit(jax.value_and_grad(make(config, model), has_aux=True))
        (loss, (_, terms)), gradient = objective(params["params"], {}, batch, rng)
        bounds = np.asarray(terms[f"{name}_bound"], np.float64)
        np.testing.assert_allclose(loss, bounds.mean(), rtol=1e-5)
        return bounds, gradient

    one, gradient = losses(1)
    many, _ = losses(64)
    elbo = jax.jit(lambda rng: bound(model.bind(params), batch, rng)["description_length"])(rng)
    error = np.hypot(one.std(), elbo.std()) / np.sqrt(2000)
    np.testing.assert_allclose(one.mean(), elbo.mean(), atol=4 * error)
    exact = -kalman(X)[0]
    assert exact < many.mean() < exact + 0.1 < one.mean()
    independent, _ = losses(64, "iwae")  # looser than particles that are resampled
    assert many.mean() < independent.mean() < one.mean() - 0.1
    for name in ("dynamics", "emissions", "inverse"):
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient[name])), name


def test_unknown_scheme():
    with pytest.raises(ValueError, match="Schemes: systematic, stratified, multinomial"):
        ancestors(jax.random.split(jax.random.key(0), 1), jnp.zeros((3, 1)), 3, "residual")
