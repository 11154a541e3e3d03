"""Long sequences: time, the program's size and memory against the number of steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ssm_models import B, T, keys, make, make_batch, variables

from rlvm.jobs import config as configs
from rlvm.jobs import cost
from rlvm.jobs import experiment as experiments
from rlvm.models.ssm import Conditioning, preset

OWN = Conditioning("x_1:k", "x_t:T", "z_1:t-1", prefix_length=4)
TWO_LAYERS = {"size": 4, "num_layers": 2}


def bound(model, batch, rng, params):
    """Minus the mean ELBO of the batch."""
    terms = model.bind(params).code_lengths(batch, rng)
    return jnp.mean(terms["distortion"] + terms["rate"])


def program(steps, segment=0, batch_size=B, **fields):
    """(the bound's gradient as a function of parameters, their shapes) for sequences of `steps`."""
    model = make(segment=segment, **fields)
    batch = {**make_batch(steps=1), "lengths": jnp.full(B, steps)}
    repeats = {"x": (batch_size // B, steps, 1), "u": (batch_size // B, steps, 1)}
    batch = {name: jnp.tile(batch[name], times) for name, times in repeats.items()}
    params = jax.eval_shape(model.init, jax.random.key(0), batch)

    def gradient(params, batch, seed):
        rng = jax.random.split(jax.random.key(seed), batch_size)
        return jax.grad(functools.partial(bound, model, batch, rng))(params)

    return gradient, (params, jax.eval_shape(lambda: batch), jnp.uint32(0))


@pytest.mark.parametrize(
    ("conditioning", "fields"),
    [
        (preset("DVBF", 3), {}),
        pytest.param(OWN, {"control_dim": 0}, marks=pytest.mark.slow),
        pytest.param(preset("STORN"), {"initial_inference": "state"}, marks=pytest.mark.slow),
        pytest.param(preset("full"), {"features": TWO_LAYERS}, marks=pytest.mark.slow),
    ],
    ids=["DVBF", "own", "STORN", "full"],
)
def test_segments_change_no_number(conditioning, fields):
    """Nor a gradient, with missing values, an early end, and a last segment that is cut off."""
    batch = {**make_batch(), "lengths": jnp.array([T, 3])}
    batch["x"] = batch["x"].at[0, 1, 2].set(jnp.nan)
    if fields.get("control_dim") == 0:
        del batch["u"]
    whole, parts = (make(conditioning, segment=k, **fields) for k in (0, 2))
    params = variables(whole, batch)

    @jax.jit
    def both(params):
        found = []
        for model in (whole, parts):
            run = functools.partial(bound, model, batch, keys(3, B))
            terms = model.bind(params).code_lengths(batch, keys(3, B))
            found.append((terms, *jax.value_and_grad(run)(params)))
        return found

    expected, found = both(params)
    assert found[0]["rate"].shape == (3, B)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected
    )


@pytest.mark.parametrize("segment", [0, 4])
def test_the_program_does_not_grow_with_time_and_its_operations_are_linear(segment):
    def equations(steps):
        gradient, arguments = program(steps, segment)
        return str(jax.make_jaxpr(gradient)(*arguments)).count(" = ")

    assert equations(8) == equations(80)

    def counted(steps):
        gradient, arguments = program(steps, segment)
        return cost.operations(gradient, *arguments)

    few, some, many = (counted(steps) for steps in (8, 40, 72))
    assert many.matmul_flops - some.matmul_flops == some.matmul_flops - few.matmul_flops > 0
    slope = (many.elementwise - some.elementwise) / (some.elementwise - few.elementwise)
    assert abs(slope - 1.0) < 0.01


def test_a_step_of_the_papers_network_multiplies_nothing_twice():
    """Appendix D.2 at batch 128: three products a kernel and use, but no gradient into x."""
    batch_size, steps = 128, 28
    config = configs.load("ssm/row_mnist:paper_full")
    example = {"x": np.zeros((1, steps, 28), np.float32), "mask": np.ones(1, np.float32)}
    experiment = experiments.build(config, example)
    products = 0
    for path, leaf in jax.tree.flatten_with_path(experiment.abstract_state().params)[0]:
        names = [key.key for key in path]
        if leaf.ndim == 2:
            uses = steps - (names[0] == "dynamics" or names[:2] == ["inverse", "rest"])
            uses = 1 if names[0] == "flows" or names[1] == "first" else uses
            passes = 2 if names[-2] == "from_input" else 3
            products += passes * uses * batch_size * leaf.size
    assert cost.of_step(experiment).operations.matmul_flops == 2 * products


def memory(steps, segment):
    """Bytes that the bound's gradient needs for a while, beside arguments and results."""
    layers = {"sizes": (32, 32), "activations": ("tanh", "tanh")}
    names = ("transition", "emission", "prefix", "inverse_initial", "inverse_residual")
    fields = {name: layers for name in names} | {"features": {"size": 16}}
    gradient, arguments = program(steps, segment, 8 * B, **fields)
    return jax.jit(gradient).lower(*arguments).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.slow
def test_memory_with_segments_is_of_order_sqrt_t():
    """16 times the steps: 16 times the memory, or with segments 4 times, and x and noise."""
    few, many = memory(64, 0), memory(1024, 0)
    assert 15 < many / few < 17
    assert memory(1024, 32) < min(6 * memory(64, 8), many / 12)
