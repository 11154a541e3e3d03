import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ssm_models import LAYERS, B, D, T, Z, keys, make, make_batch, variables

from rlvm.inference.activity import active_units, paired_covariance
from rlvm.models.ssm import PRESETS, build, preset
from rlvm.types import LatentVariable

MODES = [
    ("full", "residual", "base"),
    ("VRNN", "residual", "state"),
    ("STORN", "state", "base"),
    ("DKS", "state", "state"),
]


@functools.cache
def case(conditioning, inference, initial):
    """(bound model, batch) of one inference mode; the gaussian emission has a learned scale."""
    model = make(preset(conditioning), inference=inference, initial_inference=initial)
    batch = make_batch()
    return model, variables(model, batch), batch


@pytest.mark.parametrize("mode", MODES)
def test_sampled_and_evaluated_densities_agree(mode):
    model, params, batch = case(*mode)

    @jax.jit
    def both(rng):
        bound = model.bind(params)
        posterior, prior = bound.posterior(batch), bound.prior(batch)
        path, log_q = posterior.sample_with(None, rng)
        _, rate = bound.sample_with_rate(batch, rng)
        return log_q, posterior.log_prob(path), prior.log_prob(path), rate

    log_q, evaluated, log_p, rate = both(keys(4000, B))
    np.testing.assert_allclose(log_q, evaluated, rtol=1e-4, atol=1e-4)
    # E[log q - log p] = E[analytic rate], and the two differ sample by sample.
    error = np.asarray(log_q - log_p - rate)
    assert error.std() > 0.1
    standard_error = error.std(axis=0) / np.sqrt(len(error))
    np.testing.assert_array_less(np.abs(error.mean(axis=0)), 4 * standard_error)


@pytest.mark.parametrize("mode", MODES)
def test_densities_are_those_of_the_equations(mode):
    """log p of states against float64 NumPy from F, G and the flow alone."""
    model, params, batch = case(*mode)

    @jax.jit
    def run(rng):
        bound = model.bind(params)
        path = bound.prior(batch).sample(rng)
        f_and_gain = bound.transitions(path.states, bound.project_controls(batch))
        base_and_log_det = bound.flows.inverse_and_log_det(path.states[:, 0])
        return path, f_and_gain, base_and_log_det, bound.prior(batch).log_prob(path)

    path, (f, gain), (base, log_det), log_p = run(keys(B))
    z = np.asarray(path.states, np.float64)
    eps = (z[:, 1:] - f) / gain
    log_normal = lambda e: -0.5 * e**2 - 0.5 * np.log(2 * np.pi)  # noqa: E731
    first = log_normal(np.asarray(base, np.float64)).sum(-1)
    rest = log_normal(eps).sum((-1, -2))
    if model.initial_inference == "state":
        first = first + log_det
        np.testing.assert_array_equal(path.variables[:, 0], path.states[:, 0])
    else:
        np.testing.assert_allclose(path.variables[:, 0], base, atol=1e-4)
    if model.inference == "state":
        rest = rest - np.log(gain).sum((-1, -2))
        np.testing.assert_array_equal(path.variables[:, 1:], path.states[:, 1:])
    else:
        np.testing.assert_allclose(path.variables[:, 1:], eps, atol=1e-3)
    np.testing.assert_allclose(log_p, first + rest, rtol=1e-3)


def test_samples_broadcast_over_leading_keys():
    model, params, batch = case("full", "residual", "base")
    assert isinstance(model, LatentVariable)

    @jax.jit
    def draw(rng):
        bound = model.bind(params)
        path = bound.posterior(batch).sample(rng)
        likelihood = bound.likelihood(path, batch)
        return path.states, likelihood.log_prob(batch["x"]), likelihood.sample(rng)

    rng = keys(3, B)
    states, log_p, x = draw(rng)
    assert (states.shape, log_p.shape, x.shape) == ((3, B, T, Z), (3, B), (3, B, T, D))
    for many, one in zip((states, log_p, x), draw(rng[1]), strict=True):
        np.testing.assert_allclose(many[1], one, rtol=1e-5, atol=1e-6)


def quantities(model, params, batch, rng):
    """Every number a batch gives, per step or per sequence."""
    bound = model.bind(params)
    path, rate = bound.sample_with_rate(batch, rng)
    posterior, prior = bound.posterior(batch), bound.prior(batch)
    likelihood = bound.likelihood(path, batch)
    return {
        "states": path.states[:, :3],
        "rate": rate,
        "log_q": posterior.log_prob(path),
        "log_p": prior.log_prob(path),
        "log_likelihood": likelihood.log_prob(batch["x"]),
        "prior_states": prior.sample(rng).states[:, :3],
        "x": likelihood.sample(rng)[:, :3],
    }


@pytest.mark.parametrize("conditioning", ["semi", "full"])
def test_padding_changes_no_number(conditioning):
    model, junk = make(preset(conditioning)), jnp.array([7.0, jnp.nan]).reshape(B, 1, 1)
    short = {**make_batch(steps=3), "lengths": jnp.array([3, 2])}
    past = jnp.arange(6)[None, :, None] >= short["lengths"][:, None, None]
    padded = {name: jnp.pad(short[name], ((0, 0), (0, 3), (0, 0))) for name in "xu"}
    long = {**short, **{name: jnp.where(past, junk, x) for name, x in padded.items()}}
    params = variables(model, short)
    run = jax.jit(functools.partial(quantities, model, params))
    expected, got = run(short, keys(B)), run(long, keys(B))
    for name in ("rate", "log_q", "log_p", "log_likelihood"):
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-5, atol=1e-5, err_msg=name)
    for name in ("states", "prior_states", "x"):
        for b, length in enumerate([3, 2]):
            np.testing.assert_allclose(
                got[name][b, :length], expected[name][b, :length], atol=1e-5, err_msg=name
            )


def test_missing_observations_leave_the_likelihood_and_flag_the_encoder():
    model, params, batch = case("full", "residual", "base")
    x = batch["x"].at[0, 2, 1].set(jnp.nan).at[1, 4].set(jnp.nan)

    def elbo(params, x):
        bound, given = model.bind(params), {**batch, "x": x}
        path, rate = bound.sample_with_rate(given, keys(B))
        log_p = bound.likelihood(path, given).log_prob_steps(x)
        return jnp.sum(log_p) - jnp.sum(rate), (path, log_p, bound.emit(path.states).logits)

    run = jax.jit(jax.value_and_grad(elbo, has_aux=True))
    (_, (path, log_p, logits)), gradient = run(params, x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    logits = np.asarray(logits, np.float64)
    cells = np.where(np.isnan(x), 0.0, np.nan_to_num(x) * logits - np.logaddexp(0.0, logits))
    np.testing.assert_allclose(log_p, cells.sum(-1), rtol=1e-4)
    assert log_p[1, 4] == 0.0
    (_, (zero_path, _, _)), _ = run(params, jnp.nan_to_num(x))
    assert np.abs(zero_path.states - path.states).max() > 1e-3


def test_build_reads_a_config_and_initial_scales_are_kept():
    from ml_collections import ConfigDict

    networks = ("transition", "emission", "prefix", "inverse_initial", "inverse_residual")
    config = ConfigDict(
        {
            "conditioning": "semi",
            "prefix_length": 3,
            "state_dim": Z,
            "inference": "residual",
            "initial_inference": "base",
            "initial_scale": 0.1,
            "flow": {"num_flows": 1, "sizes": (5,)},
            "features": {"size": 4},
            **{name: LAYERS for name in networks},
        }
    )
    batch = make_batch()
    model = build(config, batch)
    assert (model.observation_dim, model.control_dim) == (D, 2)
    assert model.conditioning == preset("semi", 3)
    assert model.inference == "residual"
    for name in ("STORN", "DKF"):  # residuals would depend on z_t-1
        assert build(ConfigDict({**config, "conditioning": name}), batch).inference == "state"
    params = jax.jit(model.init)(jax.random.key(0), batch)

    @jax.jit
    def draw(rng):
        bound = model.bind(params)
        scale = bound.posterior(batch).sample_with_moments(rng)[1].scale
        return scale, bound.prior(batch).sample(rng).states

    scale, states = draw(keys(500, B))
    np.testing.assert_allclose(scale, 0.1, rtol=0.5)
    assert 0.3 < states.std() < 3.0


def test_active_units_are_those_whose_means_depend_on_x():
    """Step 1 against the variance of its means; a posterior that ignores x has no active unit."""
    model, num = make(PRESETS["full"]), 400
    small = make_batch()
    params = variables(model, small)
    rng = np.random.default_rng(0)
    batch = {"x": jnp.asarray(rng.integers(0, 2, (num, T, D)), jnp.float32)}
    batch["u"] = jnp.zeros((num, T, small["u"].shape[-1]))

    @jax.jit
    def measure(params):
        posterior = model.bind(params).posterior(batch)
        found = paired_covariance(posterior, keys(num), jnp.ones(num))
        first = posterior.sample_with_moments(keys(num))[1].mean[:, 0]
        return found, first, active_units(posterior, keys(num), jnp.ones(num))

    found, first, active = measure(params)
    np.testing.assert_allclose(found[:Z], first.var(axis=0), rtol=1e-3)
    assert Z < active <= T * Z
    params["params"]["inverse"] = jax.tree.map(jnp.zeros_like, params["params"]["inverse"])
    found, _, active = measure(params)
    np.testing.assert_allclose(found, 0.0, atol=1e-6)
    assert active == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inference": "path"}, "No inference 'path'. There are: residual, state."),
        ({"initial_inference": "flow"}, "No initial_inference 'flow'. There are: base, state."),
        ({"emission": {"kind": "state"}, "state_dim": 2}, "from the first 3 dimensions"),
        ({"transition": {"kind": "resnet"}}, "Kinds: plain, residual, highway."),
        ({"transition": {"activations": ("tahn",)}}, "No activation 'tahn'"),
    ],
)
def test_errors_say_what_exists(fields, message):
    model = make(**fields)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), make_batch())
