"""One training step, pure: (state, batch) -> (state, metrics)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from rlvm.inference.objectives import masked_mean
from rlvm.training.buckets import in_buckets
from rlvm.training.microbatches import in_microbatches
from rlvm.training.state import TrainState
from rlvm.types import Array, Batch, Objective, PyTree

DROPOUT = 2**31 - 1  # the stream of an example's key that masks units

Step = Callable[..., tuple[TrainState, dict[str, Array]]]  # see `make_step`


def mean_over(axis_name: str | None, values: PyTree) -> PyTree:
    """Mean over the devices of a pmap axis; without one, the values themselves."""
    return values if axis_name is None else jax.lax.pmean(values, axis_name)


def make_step(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    ema_decay: float = 0.0,
    axis_name: str | None = None,
    accumulate_steps: int = 1,
    longest: tuple[int, ...] = (),
) -> Step:
    """The step (state, batch, rng [B], measured) -> (state, metrics) of objective and optimizer.

    The gradient's norm is 0 where it is not `measured`: on a CPU it costs a tenth of a DARN's step.
    `longest` are the lengths of a source's buckets, to which its batches of sequences are cut.
    """
    gradient = jax.value_and_grad(objective, has_aux=True)
    gradient = in_buckets(gradient, longest)
    gradient = in_microbatches(gradient, accumulate_steps)

    def step(state: TrainState, batch: Batch, rng: Array, measured: bool | Array = True):
        dropout = jax.vmap(lambda key: jax.random.fold_in(key, DROPOUT))(rng)
        batch = {**batch, "step": state.step, "dropout": dropout}  # for annealing and dropout
        (loss, (extra, terms)), grads = gradient(state.params, state.extra, batch, rng)
        metrics = {name: masked_mean(value, batch["mask"]) for name, value in terms.items()}
        grads, extra, metrics = mean_over(axis_name, (grads, extra, {**metrics, "loss": loss}))
        metrics["gradient_norm"] = jax.lax.cond(
            measured, optax.tree.norm, lambda grads: jnp.zeros(()), grads
        )
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        updates = jax.tree.map(lambda update: update * state.rate_scale, updates)
        params = optax.apply_updates(state.params, updates)
        state = state.replace(
            step=state.step + 1,
            params=params,
            extra=extra,
            opt_state=opt_state,
            ema=average(state.ema, params, ema_decay),
        )
        return state, metrics

    return step


def average(ema: PyTree, params: PyTree, decay: float) -> PyTree:
    """Exponential moving average of the parameters, or the empty dict it was."""
    if not ema:
        return ema
    return jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, ema, params)


def zero_metrics(shapes: PyTree) -> dict[str, Array]:
    """Accumulators for a dispatch: sums, and the first step at which a metric was not finite."""
    sums = jax.tree.map(lambda shape: jnp.zeros(shape.shape), shapes)
    first_bad = jax.tree.map(lambda _: jnp.full((), -1, jnp.int32), shapes)
    return {"sums": sums, "first_bad": first_bad}


def accumulate(totals: dict, metrics: dict, step: Array) -> dict:
    """Add one step's metrics to a dispatch's accumulators."""
    sums = jax.tree.map(jnp.add, totals["sums"], metrics)
    first_bad = jax.tree.map(
        lambda bad, value: jnp.where((bad < 0) & ~jnp.isfinite(value), step, bad),
        totals["first_bad"],
        metrics,
    )
    return {"sums": sums, "first_bad": first_bad}
