"""The gaps that closed forms predict appear when amortised posteriors are learned."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rlvm.inference.conditioning_gap import LinearGaussian
from rlvm.models.ssm import StateSpaceModel, preset

A, Q, R, T = 0.9, 0.3, 0.5, 5
NET = {"sizes": (32,), "activations": ("tanh",)}
SYSTEM = LinearGaussian(*[np.array([[value]]) for value in (A, Q, 1.0, R, 1.0)], num_timesteps=T)


def frozen(conditioning):
    """z_1 ~ N(0, 1), z_t = 0.9 z_{t-1} + N(0, 0.3), x_t = z_t + N(0, 0.5); a fresh posterior."""
    model = StateSpaceModel(
        1,
        1,
        conditioning=preset(conditioning, 3 if conditioning == "semi" else None),
        inference="state" if preset(conditioning).latents == "none" else "residual",
        flow={"num_flows": 0},
        transition={"kind": "plain", "sizes": (), "activations": (), "initial_gain": Q**0.5 - 1e-4},
        emission={"kind": "gaussian", "sizes": (), "activations": (), "scale": R**0.5},
        features={"size": 32},
        prefix=NET,
        inverse_initial=NET,
        inverse_residual=NET,
        initial_scale=0.5,
    )
    batch = {"x": jnp.zeros((1, T, 1)), "mask": jnp.ones(1)}
    params = jax.jit(model.init)(jax.random.key(0), batch)["params"]
    params["dynamics"]["from_state"] = {"kernel": jnp.array([[A, 0.0]]), "bias": jnp.zeros(2)}
    params["emissions"]["heads"] = {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}
    return model, params


def sequences(key, num):
    """Draws of x_1:T from the system: [num, T, 1]."""
    factor = jnp.asarray(np.linalg.cholesky(SYSTEM.observation_cov()), jnp.float32)
    return (jax.random.normal(key, (num, T)) @ factor.T)[..., None]


@functools.cache
def learned_gap(conditioning, steps=3000):
    """E[log p(x)] - E[ELBO] after fitting the inference network alone."""
    model, params = frozen(conditioning)
    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, steps))

    def nelbo(inverse, key, num):
        data_key, noise_key = jax.random.split(key)
        batch = {"x": sequences(data_key, num)}
        bound = model.bind({"params": {**params, "inverse": inverse}})
        path, rate = bound.sample_with_rate(batch, jax.random.split(noise_key, num))
        return jnp.mean(rate - bound.likelihood(path, batch).log_prob(batch["x"]))

    @jax.jit
    def fit(inverse):
        def step(carry, i):
            inverse, state = carry
            key = jax.random.fold_in(jax.random.key(1), i)
            update, state = optimizer.update(jax.grad(nelbo)(inverse, key, 64), state)
            return (optax.apply_updates(inverse, update), state), None

        carry = (inverse, optimizer.init(inverse))
        inverse = jax.lax.scan(step, carry, jnp.arange(steps))[0][0]
        return nelbo(inverse, jax.random.key(2), 50_000)

    cov = SYSTEM.observation_cov()
    expected = -0.5 * (np.linalg.slogdet(2 * np.pi * cov)[1] + T)
    return expected + float(fit(params["inverse"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("conditioning", "gap"),
    [
        ("full", 0.0),
        ("semi", 0.364209),  # k = 3; by optimisation over linear-Gaussian q (oracle 6)
        ("partial", 0.589873),
        ("STORN", SYSTEM.mean_field_gap()),
    ],
)
def test_learned_gap_is_the_closed_form(conditioning, gap):
    np.testing.assert_allclose(learned_gap(conditioning), gap, atol=0.06)
