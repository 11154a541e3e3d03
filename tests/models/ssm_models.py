"""Tiny state-space models with parameters far from their initial values, for tests."""

import jax
import jax.numpy as jnp
import numpy as np

from rlvm.models.ssm import PRESETS, StateSpaceModel

LAYERS = {"sizes": (6,), "activations": ("tanh",)}
B, T, D, U, Z = 2, 5, 3, 2, 3


def make(conditioning=PRESETS["full"], **fields):
    """A model of T steps of D observed, U control and Z state dimensions."""
    inference = "state" if conditioning.latents == "none" else "residual"
    networks = ("transition", "emission", "prefix", "inverse_initial", "inverse_residual")
    defaults = {
        "observation_dim": D,
        "state_dim": Z,
        "control_dim": U,
        "inference": inference,
        "flow": {"num_flows": 1, "sizes": (5,), "activation": "tanh"},
        "features": {"size": 4},
        "initial_scale": 0.6,
        **{name: LAYERS for name in networks},
    }
    return StateSpaceModel(conditioning=conditioning, **{**defaults, **fields})


def make_batch(seed=0, steps=T, binary=True):
    """A batch of B sequences with controls."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(B, steps, D))
    x = (x > 0) if binary else x
    u = rng.normal(size=(B, steps, U))
    return {"x": jnp.asarray(x, jnp.float32), "u": jnp.asarray(u, jnp.float32), "mask": jnp.ones(B)}


def variables(model, batch, seed=0):
    """Random parameters of order one, whose biases are not zero."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), batch)
    leaves, tree = jax.tree.flatten(shapes)
    rng = np.random.default_rng(seed)
    draws = [0.5 * rng.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
    return jax.tree.unflatten(tree, [jnp.asarray(draw) for draw in draws])


def keys(*shape, seed=0):
    """An array of typed keys."""
    return jax.random.split(jax.random.key(seed), shape)
