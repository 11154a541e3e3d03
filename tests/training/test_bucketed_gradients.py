import jax
import jax.numpy as jnp
import numpy as np
import runs
from ml_collections import ConfigDict

from rlvm.inference.objectives import make
from rlvm.models.ssm import PRESETS, StateSpaceModel
from rlvm.training.buckets import in_buckets

LAYERS = {"sizes": (6,), "activations": ("tanh",)}
LONGEST = (3, 5, 8)


def made():
    """(gradient of a state-space model's bound, its parameters)."""
    networks = ("transition", "emission", "prefix", "inverse_initial", "inverse_residual")
    model = StateSpaceModel(
        observation_dim=2,
        state_dim=3,
        conditioning=PRESETS["full"],
        flow={"num_flows": 1, "sizes": (4,)},
        features={"size": 4},
        **{name: LAYERS for name in networks},
    )
    config = ConfigDict({"name": "description_length", "estimator": "darn", "num_samples": 1})
    config.update({"kl_warmup_steps": 0, "free_bits": 0.0})
    batch = {"x": jnp.zeros((2, 8, 2)), "mask": jnp.ones(2), "lengths": jnp.array([8, 8])}
    params = jax.jit(model.init)(jax.random.key(0), batch)["params"]
    return jax.value_and_grad(make(config, model), has_aux=True), params


def test_cutting_to_the_bucket_changes_no_number_and_traces_each_once():
    gradient, params = made()
    traced = []

    def counted(params, extra, batch, rng):
        traced.append(batch["x"].shape[1])
        return gradient(params, extra, batch, rng)

    bucketed, whole = jax.jit(in_buckets(counted, LONGEST)), jax.jit(gradient)
    rng = jax.random.split(jax.random.key(1), 2)
    x = np.random.default_rng(0).integers(0, 2, (2, 8, 2)).astype(np.float32)
    for lengths in ([1, 2], [3, 3], [4, 1], [8, 6]):
        inside = (np.arange(8) < np.array(lengths)[:, None])[..., None]
        batch = {"x": jnp.asarray(x * inside), "lengths": jnp.array(lengths)}
        batch |= {"mask": jnp.ones(2), "step": jnp.int32(0)}
        found, expected = (go(params, {}, batch, rng) for go in (bucketed, whole))
        runs.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert sorted(traced) == [*LONGEST]


def test_one_length_needs_no_branch():
    gradient, _ = made()
    assert in_buckets(gradient, (8,)) is gradient
