"""Counts against closed forms and the compiler's own."""

import jax
import jax.numpy as jnp
import pytest
import runs
import synthetic

from rlvm.jobs import cost
from rlvm.jobs import experiment as experiments

A, B = jnp.ones((3, 5)), jnp.ones((5, 7))


def test_a_matmul():
    found = cost.operations(jnp.matmul, A, B)
    assert found == cost.Operations(2 * 3 * 5 * 7, 4 * (15 + 35 + 21), 0)


def test_a_scan_counts_its_body_as_often_as_it_runs():
    def looped(x, w):
        return jax.lax.scan(lambda c, _: (jnp.tanh(c @ w), None), x, None, length=11)[0]

    once = cost.operations(lambda x, w: jnp.tanh(x @ w), A, jnp.ones((5, 5)))
    assert cost.operations(looped, A, jnp.ones((5, 5))) == once * 11
    assert once.elementwise == 15


def test_the_dearest_branch_counts():
    def chosen(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: (x @ B).sum(), lambda x: x.sum(), x)

    assert cost.operations(chosen, A).matmul_flops == 210


def test_a_switch_of_platforms_counts_what_accelerators_run():
    def either(x):
        return jax.lax.platform_dependent(x, cpu=lambda x: (x @ B).sum(), default=lambda x: x.sum())

    assert cost.operations(either, A).matmul_flops == 0


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_is_as_the_compiler_counts_it(groups):
    image, kernel = jnp.ones((2, 8, 8, 4)), jnp.ones((3, 3, 4 // groups, 6))

    def convolve(image, kernel):
        return jax.lax.conv_general_dilated(
            image,
            kernel,
            (1, 1),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    found = cost.operations(convolve, image, kernel)
    compiled = jax.jit(convolve).lower(image, kernel).compile()
    assert found.matmul_flops == compiled.cost_analysis()["flops"]


def test_a_step_of_a_darn():
    config = runs.small_config()
    data = synthetic.dataset(config, 24, narrow=True)
    found = cost.of_config(config, experiments.example_batch(data))
    units, tanh = 3, 5
    dims, batch = data.splits["train"]["x"].shape[1], config.train.batch_size
    inputs = dims * tanh  # x needs no gradient
    hidden = tanh * units + units * units + units * tanh + tanh * dims + dims * dims
    least = 2 * batch * (2 * inputs + 3 * hidden - dims * dims)
    assert least <= found.operations.matmul_flops < 1.6 * least  # units are drawn in blocks too
    params = dims * tanh + tanh * units + units * units + units * tanh + tanh * dims + dims * dims
    params += 2 * tanh + 2 * units + dims
    assert found.parameter_bytes == 4 * params
    assert found.state_bytes > 3 * found.parameter_bytes  # Adam's two moments
    assert "GFLOP a step" in str(found)


def test_a_roofline():
    found = cost.StepCost(cost.Operations(10**12, 10**9, 0), 10**8, 3 * 10**8)
    times = cost.seconds(found, cost.Machine(10, 1e14, 1e12, 1e11))
    assert times["arithmetic"] == pytest.approx(1e-3)
    assert times["memory"] == pytest.approx((1e8 + 6e8) / 1e12)
    assert times["links"] == pytest.approx(1.8 * 1e8 / 1e11)


@pytest.mark.parametrize("mode", ["jit", "pmap", "sharded"])
def test_a_dispatch_costs_what_its_step_costs_on_the_whole_batch(mode):
    made = runs.start(runs.small_config(), mode=mode)
    step = cost.of_step(made.experiment)
    found = cost.of_dispatch(made.parallel, made.state, made.source.inputs(0, 1))
    assert found.operations.matmul_flops == step.operations.matmul_flops > 0
    assert (found.parameter_bytes, found.state_bytes) == (step.parameter_bytes, step.state_bytes)
    assert step.operations.elementwise < found.operations.elementwise  # the rows are picked too


@pytest.mark.parametrize("mode", ["jit", "sharded"])
def test_what_is_compiled_ahead_then_runs(mode, caplog):
    made = runs.start(runs.small_config(), mode=mode)
    with caplog.at_level("INFO"):
        cost.compile_ahead(made.parallel, made.state, made.source.inputs(0, 1))
    assert "GFLOP a step" in caplog.messages[0] and "MB of temporaries" in caplog.messages[1]
    with jax.log_compiles(), caplog.at_level("WARNING"):
        caplog.clear()
        made.steps(1)
    assert not [m for m in caplog.messages if "XLA compilation of jit(dispatch)" in m]
