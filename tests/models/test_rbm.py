"""RBM: energies by enumeration, log Z by AIS, learning by persistent chains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from networks import binary_vectors

from rlvm.inference import objectives
from rlvm.inference.ais import log_partition
from rlvm.models.rbm import RBM

VISIBLE, HIDDEN = 6, 4


def machine(scale=1.0, chains=50):
    model = RBM(VISIBLE, HIDDEN, chains, sample_steps=30)
    variables = model.init(jax.random.key(0), {"x": jnp.zeros((1, VISIBLE))})
    draw = np.random.default_rng(0)
    params = jax.tree.map(
        lambda p: jnp.asarray(draw.normal(0, scale, p.shape), jnp.float32), variables["params"]
    )
    return model, {**variables, "params": params}


def joint(params):
    """exp(b x + c h + x W h) for all x and h, in float64: [2^V, 2^H]."""
    b, c, w = (np.asarray(params[n], np.float64) for n in ("bias", "hidden_bias", "kernel"))
    x, h = binary_vectors(VISIBLE), binary_vectors(HIDDEN)
    return np.exp((x @ b)[:, None] + (h @ c)[None] + x @ w @ h.T)


def test_free_energy_sums_the_hidden_units_out():
    model, variables = machine()
    energy = model.bind(variables).free_energy(jnp.asarray(binary_vectors(VISIBLE), jnp.float32))
    np.testing.assert_allclose(-energy, np.log(joint(variables["params"]).sum(1)), rtol=1e-5)


def test_log_partition_of_ten_units():
    model, variables = machine()
    estimate = jax.jit(lambda v, key: log_partition(model.bind(v), key, 400, 100))
    log_z, error = estimate(variables, jax.random.key(1))
    exact = np.log(joint(variables["params"]).sum())
    assert 0 < float(error) < 0.1
    assert abs(float(log_z) - exact) < 4 * float(error)
    at_base = model.bind(variables).base(jax.random.key(0), 1)[1]
    assert abs(float(at_base) - exact) > 0.5


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_transition_keeps_the_tempered_distribution(beta):
    model, variables = machine(0.7)
    bound, x = model.bind(variables), binary_vectors(VISIBLE)
    p = np.exp(-np.asarray(bound.free_energy(jnp.asarray(x, jnp.float32), beta), np.float64))
    p /= p.sum()
    start = np.random.default_rng(0).choice(len(x), 40_000, p=p)
    moved = bound.transition(jnp.asarray(x[start], jnp.float32), jax.random.key(3), beta)
    codes = (np.asarray(moved) @ (2 ** np.arange(VISIBLE)[::-1])).astype(int)
    counts = np.bincount(codes, minlength=len(x))
    assert np.sum((counts - 40_000 * p) ** 2 / (40_000 * p)) < 103.4  # chi2(63) at 1e-3
    assert np.mean(codes != start) > 0.5


def test_base_draws_are_independent_with_the_biases():
    model, variables = machine()
    draws, log_z = model.bind(variables).base(jax.random.key(0), 20_000)
    bias = np.asarray(variables["params"]["bias"])
    np.testing.assert_allclose(draws.mean(0), 1 / (1 + np.exp(-bias)), atol=0.02)
    assert float(log_z) == pytest.approx(np.logaddexp(0, bias).sum() + HIDDEN * np.log(2), rel=1e-5)


def test_persistent_chains_learn_a_small_set():
    x = jnp.asarray([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]] * 10, jnp.float32)
    model, variables = machine(0.05, chains=100)
    config = ConfigDict({"name": "contrastive_divergence", "chain_steps": 2})
    objective = objectives.make(config, model)

    @jax.jit
    def step(carry, t):
        params, extra = carry
        batch = {"x": x, "mask": jnp.ones(20), "step": t}
        grads, (extra, _) = jax.grad(objective, has_aux=True)(params, extra, batch, None)
        return (jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), extra), None

    extra = {name: value for name, value in variables.items() if name != "params"}
    (params, after), _ = jax.lax.scan(step, (variables["params"], extra), jnp.arange(400))
    table = joint(params).sum(1)
    p = table / table.sum()
    assert p[[0b111000, 0b000111]].sum() > 0.5  # 2 of 64 vectors; uniform would be 1 in 32
    assert not np.array_equal(after["chains"]["x"], extra["chains"]["x"])
