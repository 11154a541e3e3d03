import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats
from ssm_models import keys

from rlvm.models.ssm.divergences import gaussian_kl, standard_kl
from rlvm.models.ssm.emission import Emission, SequenceLikelihood
from rlvm.models.ssm.noise import normals
from rlvm.models.ssm.transition import Transition, lagged

Z, U = 3, 2


def randomised(module, *inputs, seed=0):
    """Parameters of order one for a module."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda s: jnp.asarray(0.5 * rng.normal(size=s.shape), s.dtype), shapes)


def softplus(a):
    return np.logaddexp(0.0, a)


@pytest.mark.parametrize("kind", ["plain", "residual", "highway"])
@pytest.mark.parametrize("hidden", [0, 1])
def test_transition_is_its_equation(kind, hidden):
    module = Transition(
        Z, kind, (5,) * hidden, ("tanh",) * hidden, initial_gain=0.5, has_controls=True
    )
    rng = np.random.default_rng(1)
    z, u = rng.normal(size=(4, Z)), rng.normal(size=(4, U))

    def run(module, z, u):
        return module(z, module.project(u))

    params = jax.eval_shape(lambda k: module.init(k, z, u, method=run), jax.random.key(0))
    params = jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32), params)
    f, gain = module.apply(params, z.astype(np.float32), u.astype(np.float32), method=run)
    p = params["params"]
    width = 5 if hidden else Z
    gate = Z if kind == "highway" else 0
    wz, b, wu = p["from_state"]["kernel"], p["from_state"]["bias"], p["from_controls"]["kernel"]
    inner = z @ wz[:, :width] + u @ wu[:, :width] + b[:width]
    out = np.tanh(inner) @ p["out"]["kernel"] + p["out"]["bias"] if hidden else inner
    expected = {"plain": out, "residual": z + out}.get(kind)
    if kind == "highway":
        logit = z @ wz[:, width : width + Z] + u @ wu[:, width:] + b[width : width + Z]
        g = 1 / (1 + np.exp(-logit))
        expected = g * out + (1 - g) * z
    np.testing.assert_allclose(f, expected, rtol=1e-4, atol=1e-5)
    raw = z @ wz[:, width + gate :] + b[width + gate :]
    np.testing.assert_allclose(gain, softplus(raw + np.log(np.expm1(0.5))) + 1e-4, rtol=1e-4)


def test_controls_act_one_step_later():
    u = jnp.arange(1.0, 7.0).reshape(1, 3, 2)
    np.testing.assert_array_equal(lagged(u)[0], [[0, 0], [1, 2], [3, 4]])


@pytest.mark.parametrize("scale_kind", ["fixed", "learnable", "heteroscedastic"])
def test_gaussian_emission_is_its_density(scale_kind):
    module = Emission(2, "gaussian", (5,), ("softplus",), scale_kind=scale_kind, scale=(0.3, 2.0))
    z = jax.random.normal(jax.random.key(0), (4, 6, Z))
    x = jax.random.normal(jax.random.key(1), (4, 6, 2))
    params = randomised(module, z)
    p = jax.tree.map(np.asarray, params["params"])
    hidden = softplus(z @ p["hidden"]["layers_0"]["kernel"] + p["hidden"]["layers_0"]["bias"])
    heads = hidden @ p["heads"]["kernel"] + p["heads"]["bias"]
    start = np.log(np.expm1([0.3, 2.0]))
    scale = {
        "fixed": lambda: np.array([0.3, 2.0]),
        "learnable": lambda: softplus(p["scale"] + start) + 1e-4,
        "heteroscedastic": lambda: softplus(heads[..., 2:] + start) + 1e-4,
    }[scale_kind]()
    likelihood = SequenceLikelihood(module.apply(params, z), jnp.ones((4, 6), bool))
    expected = stats.norm.logpdf(x, heads[..., :2], scale).sum((-1, -2))
    np.testing.assert_allclose(likelihood.log_prob(x), expected, rtol=1e-4)


def test_state_emission_reads_the_first_dimensions():
    module = Emission(2, "state", scale=(0.15, 0.075))
    z = jax.random.normal(jax.random.key(0), (4, 6, Z))
    emission = module.apply(module.init(jax.random.key(0), z), z)
    np.testing.assert_array_equal(emission.loc, z[..., :2])
    draws = SequenceLikelihood(emission, jnp.ones((4, 6), bool)).sample(keys(2000, 4))
    np.testing.assert_allclose((draws - z[..., :2]).std(axis=(0, 1, 2)), [0.15, 0.075], rtol=0.03)


def test_bernoulli_emission_samples_its_probabilities():
    module = Emission(2, "bernoulli", (5,), ("tanh",))
    z = jax.random.normal(jax.random.key(0), (1, 3, Z))
    likelihood = SequenceLikelihood(module.apply(randomised(module, z), z), jnp.ones((1, 3), bool))
    draws = likelihood.sample(keys(5000, 1))
    np.testing.assert_allclose(draws.mean(axis=0), likelihood.mean(), atol=0.03)


def test_emission_errors_say_what_exists():
    for fields, message in [
        ({"kind": "poisson"}, "Kinds: bernoulli, gaussian, state"),
        ({"kind": "gaussian", "scale_kind": "free"}, "Kinds: fixed, learnable, heteroscedastic"),
        ({"kind": "state", "scale_kind": "heteroscedastic"}, "has no network"),
    ]:
        with pytest.raises(ValueError, match=message):
            Emission(2, **fields).init(jax.random.key(0), jnp.zeros((1, Z)))


def test_divergences_are_their_integrals():
    q, p = stats.norm(0.7, 0.4), stats.norm(-0.2, 1.3)
    expected, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -5, 5)
    np.testing.assert_allclose(gaussian_kl(0.7, 0.4, -0.2, 1.3), expected, rtol=1e-5)
    # Residual and state space agree: z = F + G eps (oracle 7).
    f, gain, mean, scale = 0.3, 1.7, -0.4, 0.6
    in_state = gaussian_kl(f + gain * mean, gain * scale, f, gain)
    np.testing.assert_allclose(standard_kl(mean, scale), in_state, rtol=1e-5)


def test_noise_of_a_prefix_is_the_prefix_of_the_noise():
    np.testing.assert_array_equal(normals(keys(2), (9, 3))[:, :4], normals(keys(2), (4, 3)))
