"""All that a run carries from step to step, as one pytree."""

import flax.struct
import jax
import jax.numpy as jnp
import optax

from rlvm.types import Array, PyTree

JUDGED = ("best_value", "best_step", "bad_evals", "rate_scale")  # what a validation changes


class TrainState(flax.struct.PyTreeNode):
    """Parameters, optimizer and everything else that a checkpoint must hold.

    `extra` is what is carried but not differentiated (batch statistics, a mean teacher, chains);
    `ema` the averaged parameters, or an empty dict; `best_value`, `best_step` and `bad_evals`
    belong to early stopping; `rate_scale` multiplies the learning rate.
    """

    step: Array
    params: PyTree
    extra: PyTree
    opt_state: PyTree
    ema: PyTree
    best_value: Array
    best_step: Array
    bad_evals: Array
    rate_scale: Array

    @property
    def eval_params(self) -> PyTree:
        """The parameters that are evaluated: the average where there is one."""
        return self.ema if self.ema else self.params


def create(variables: PyTree, optimizer: optax.GradientTransformation, ema: bool) -> TrainState:
    """The state before the first step, from a model's initial variables."""
    extra = {name: value for name, value in variables.items() if name != "params"}
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        extra=extra,
        opt_state=optimizer.init(params),
        ema=jax.tree.map(jnp.copy, params) if ema else {},
        best_value=jnp.full((), jnp.inf, jnp.float32),  # a bare inf would be weakly typed
        best_step=jnp.zeros((), jnp.int32),
        bad_evals=jnp.zeros((), jnp.int32),
        rate_scale=jnp.ones(()),
    )


def after_validation(state: TrainState, value: Array, least_scale: float = 1.0) -> TrainState:
    """Record a validation value (lower is better): the best so far and how long ago it was.

    When the value rises above its best, the learning rate is halved, to `least_scale` at least.
    """
    better = value < state.best_value
    halved = jnp.maximum(state.rate_scale / 2, least_scale)
    return state.replace(
        best_value=jnp.where(better, value, state.best_value),
        best_step=jnp.where(better, state.step, state.best_step),
        bad_evals=jnp.where(better, 0, state.bad_evals + 1),
        rate_scale=jnp.where(value > state.best_value, halved, state.rate_scale),
    )


def parameter_count(params: PyTree) -> int:
    """Number of trainable scalars."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
