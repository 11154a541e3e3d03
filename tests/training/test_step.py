"""The step and the state, against the same arithmetic in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rlvm.training import state as states
from rlvm.training.step import accumulate, make_step, zero_metrics


def squared_error(params, extra, batch, rng):
    """loss_i = (w x_i - 1)^2 / 2; `extra` counts calls."""
    terms = {"error": 0.5 * (params["w"] * batch["x"] - 1) ** 2}
    loss = jnp.sum(terms["error"] * batch["mask"]) / batch["mask"].sum()
    return loss, ({"calls": extra["calls"] + 1}, terms)


def initial(ema=False, optimizer=None):
    variables = {"params": {"w": jnp.asarray(2.0)}, "calls": jnp.asarray(0)}
    return states.create(variables, optimizer or optax.sgd(0.1), ema)


BATCH = {"x": jnp.asarray([1.0, 3.0, 50.0]), "mask": jnp.asarray([1.0, 1.0, 0.0])}
GRADIENT = np.mean([1 * (2 * 1 - 1), 3 * (2 * 3 - 1)])
RNG = jax.random.split(jax.random.key(0), 3)


def test_one_step_of_gradient_descent():
    state, metrics = make_step(squared_error, optax.sgd(0.1))(initial(), BATCH, RNG)
    assert float(state.params["w"]) == pytest.approx(2 - 0.1 * GRADIENT)
    assert float(metrics["gradient_norm"]) == pytest.approx(GRADIENT)
    unmeasured, metrics = make_step(squared_error, optax.sgd(0.1))(initial(), BATCH, RNG, False)
    assert float(metrics["gradient_norm"]) == 0 and unmeasured.params == state.params
    assert float(metrics["loss"]) == float(metrics["error"]) == pytest.approx(0.5 * (1 + 25) / 2)
    assert int(state.step) == 1 and int(state.extra["calls"]) == 1


def test_rate_scale_multiplies_the_update():
    state = initial().replace(rate_scale=jnp.asarray(0.25))
    state, _ = make_step(squared_error, optax.sgd(0.1))(state, BATCH, RNG)
    assert float(state.params["w"]) == pytest.approx(2 - 0.025 * GRADIENT)


def test_the_average_follows_the_parameters_and_is_what_is_evaluated():
    step = make_step(squared_error, optax.sgd(0.1), ema_decay=0.9)
    state, _ = step(initial(ema=True), BATCH, RNG)
    first = 2 - 0.1 * GRADIENT
    assert float(state.eval_params["w"]) == pytest.approx(0.9 * 2 + 0.1 * first)
    plain, _ = make_step(squared_error, optax.sgd(0.1))(initial(), BATCH, RNG)
    assert float(plain.eval_params["w"]) == pytest.approx(first)


def test_accumulate_sums_and_remembers_the_first_bad_step():
    shapes = {
        "a": jax.ShapeDtypeStruct((), jnp.float32),
        "b": jax.ShapeDtypeStruct((), jnp.float32),
    }
    totals = zero_metrics(shapes)
    for step, (a, b) in enumerate([(1.0, 1.0), (2.0, np.inf), (3.0, np.nan), (4.0, 0.0)]):
        totals = accumulate(totals, {"a": jnp.float32(a), "b": jnp.float32(b)}, jnp.int32(step))
    assert float(totals["sums"]["a"]) == 10
    assert {k: int(v) for k, v in totals["first_bad"].items()} == {"a": -1, "b": 1}


def test_validation_keeps_the_best_and_counts_bad_evaluations():
    state, history = initial(), []
    for step, value in [(5, 3.0), (10, 2.0), (15, 2.0), (20, 2.5), (25, 1.0)]:
        state = states.after_validation(state.replace(step=jnp.int32(step)), jnp.float32(value))
        history.append((float(state.best_value), int(state.best_step), int(state.bad_evals)))
    assert history == [(3, 5, 0), (2, 10, 0), (2, 10, 1), (2, 10, 2), (1, 25, 0)]


def test_parameter_count():
    assert states.parameter_count({"a": jnp.zeros((3, 4)), "b": {"c": jnp.zeros(())}}) == 13
