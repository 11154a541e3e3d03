"""Locally connected stochastic layers: normalised, of the dense form, all of them learning."""

import jax
import jax.numpy as jnp
import numpy as np
from networks import binary_vectors

from rlvm.inference import objectives
from rlvm.jobs import config as configs
from rlvm.models.local_darn import LocalDARN


def network(image=(3, 3), layers=((2, 1, 1), (2, 1, 2)), rows=4):
    module = LocalDARN(image, layers, 2, 2, 3, 2)
    x = jnp.asarray(np.random.default_rng(1).integers(0, 2, (rows, *image)), jnp.float32)
    batch = {"x": x, "mask": jnp.ones(rows), "step": 0}
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), batch))
    draw = np.random.default_rng(0)
    params = jax.tree.map(
        lambda s: jnp.asarray(draw.normal(0, 0.7, s.shape), jnp.float32), shapes["params"]
    )
    return module, params, batch


def test_shapes_of_the_layers():
    module, _, _ = network((209, 159), ((7, 4, 4), (21, 4, 8)), rows=1)
    assert module.layer_shapes() == [(51, 39, 4), (8, 5, 8), (1, 1, 2)]
    assert module.stochastic_units == (51 * 39 * 4, 8 * 5 * 8, 2)


def test_prior_posterior_and_likelihood_sum_to_one():
    module, params, batch = network()
    h = jnp.asarray(binary_vectors(8), jnp.float32)  # 4 + 2 + 2 units

    @jax.jit
    def tables(x):
        bound = module.bind({"params": params})
        posterior = bound.posterior({**batch, "x": batch["x"][:1]}).log_prob(h[:, None])
        likelihood = jax.vmap(lambda z: bound.likelihood(z[None], batch).log_prob(x))(h[:3])
        return bound.prior(batch).log_prob(h), posterior[:, 0], likelihood

    images = jnp.asarray(binary_vectors(9).reshape(-1, 3, 3), jnp.float32)
    prior, posterior, likelihood = (np.exp(t) for t in tables(images))
    np.testing.assert_allclose(prior.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(posterior.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(likelihood.sum(axis=1), 1, rtol=1e-5)


def test_a_unit_depends_on_its_window_alone():
    module, params, batch = network((7, 8), ((3, 2, 1), (2, 1, 1)), rows=1)

    def lowest(x):
        posterior = module.bind({"params": params}).posterior({**batch, "x": x[None]})
        return posterior.conditional(0, {}).logits[0]

    jacobian = np.asarray(jax.jacobian(lowest)(batch["x"][0]))  # [9, 7, 8]: 3 x 3 units
    assert jacobian.shape == (9, 7, 8)
    for unit, (i, j) in enumerate(np.ndindex(3, 3)):
        inside = np.zeros((7, 8), bool)
        inside[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] = True
        np.testing.assert_array_equal(jacobian[unit] != 0, inside)


def test_every_parameter_learns():
    module, params, batch = network()
    objective = objectives.make(configs.base().objective, module)
    keys = jax.random.split(jax.random.key(0), 4)
    grads = jax.jit(jax.grad(lambda p: objective(p, {}, batch, keys)[0]))(params)
    assert all(float(jnp.abs(g).max()) > 0 for g in jax.tree.leaves(grads))
