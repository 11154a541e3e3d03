"""One step on one device or many: `jit`, `pmap` and `sharded` wrap the same function.

A dispatch is a `fori_loop` over a traced number of steps, so that any number is one trace.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from rlvm.training import compiler
from rlvm.training.state import TrainState
from rlvm.training.step import Step, accumulate, zero_metrics
from rlvm.types import Array, PyTree

MODES = ("jit", "pmap", "sharded")
AXIS = "data"

Dispatch = Callable[[TrainState, PyTree, int], tuple[TrainState, dict[str, Any]]]


def axis_name(mode: str) -> str | None:
    """The axis over which the step averages: pmap's; the others see the global batch."""
    if mode not in MODES:
        raise ValueError(f"No parallel mode '{mode}'. Modes: {', '.join(MODES)}.")
    return AXIS if mode == "pmap" else None


def run_steps(step: Step, source, seed: int, select: Callable[[], Array]):
    """(state, inputs, count) -> (state, totals): `count` steps in one loop.

    `select()` gives the positions of the global batch that this device works on.
    """
    base = jax.random.key(seed)

    def one(state, inputs, start):
        key = jax.random.fold_in(base, state.step)
        positions = select()
        batch = source.batch(inputs, start, state.step, positions, key)
        keys = jax.vmap(lambda position: jax.random.fold_in(key, position))(positions)
        return step(state, batch, keys)

    def dispatch(state, inputs, count):
        start = state.step

        def body(_, carry):
            state, totals = carry
            now = state.step
            state, metrics = one(state, inputs, start)
            return state, accumulate(totals, metrics, now)

        shapes = jax.eval_shape(one, state, inputs, start)[1]
        return jax.lax.fori_loop(0, count, body, (state, zero_metrics(shapes)))

    return dispatch


class Parallel:
    """A parallel mode: where the state lives and how a dispatch is compiled."""

    def __init__(self, mode: str, step: Step, source, seed: int, devices=None):
        axis_name(mode)
        if jax.process_count() > 1 and mode != "sharded":
            raise ValueError(
                f"parallel={mode} is for one process; {jax.process_count()} are running. "
                "Pass --config.parallel=sharded."
            )
        self.mode, self.devices = mode, devices or jax.devices()
        self.batch_size = source.batch_size
        if mode != "jit" and self.batch_size % len(self.devices):
            raise ValueError(
                f"train.batch_size={self.batch_size} does not divide over {len(self.devices)} "
                f"devices (parallel={mode})."
            )
        self._seen: PyTree = None
        self._placed: PyTree = None
        self.mesh = jax.make_mesh(
            (len(self.devices),), (AXIS,), devices=self.devices, axis_types=(AxisType.Auto,)
        )
        run = run_steps(step, source, seed, self._positions)
        if mode == "pmap":
            self._run = jax.pmap(
                run, AXIS, in_axes=(0, 0, None), donate_argnums=0, devices=self.devices
            )
        else:
            self._run = jax.jit(
                run,
                donate_argnums=0,
                out_shardings=self.replicated,
                compiler_options=compiler.options(self.devices[0].platform),
            )

    def _positions(self) -> Array:
        """Positions of the global batch for the device that asks."""
        if self.mode == "pmap":
            local = self.batch_size // len(self.devices)
            return jax.lax.axis_index(AXIS) * local + jnp.arange(local)
        positions = jnp.arange(self.batch_size)
        if self.mode == "sharded":
            sharding = NamedSharding(self.mesh, PartitionSpec(AXIS))
            positions = jax.lax.with_sharding_constraint(positions, sharding)
        return positions

    @property
    def replicated(self) -> jax.sharding.Sharding:
        """Where a plain state's arrays live before `place` spreads them."""
        if self.mode == "sharded":
            return NamedSharding(self.mesh, PartitionSpec())
        return jax.sharding.SingleDeviceSharding(self.devices[0])

    def place(self, tree: PyTree) -> PyTree:
        """Put a plain pytree where this mode's dispatch expects it: a copy on every device."""
        if jax.process_count() > 1:
            return jax.tree.map(self._share, tree)
        if self.mode != "pmap":
            return jax.device_put(tree, self.replicated)
        stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(self.devices)), tree)
        return jax.device_put(stacked, NamedSharding(self.mesh, PartitionSpec(AXIS)))

    def collect(self, tree: PyTree) -> PyTree:
        """The plain pytree again: one copy of what `place` spread."""
        if jax.process_count() > 1:
            return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)
        if self.mode != "pmap":
            return tree
        return jax.tree.map(lambda leaf: leaf.addressable_data(0)[0], tree)

    def _share(self, leaf) -> Array:
        """An array that every process holds, as one array over the devices of all of them."""
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(
            whole.shape, self.replicated, lambda index: whole[index]
        )

    def __call__(self, state: TrainState, inputs: PyTree, count: int):
        """Run `count` steps; returns the state and the dispatch's totals."""
        state, totals = self._run(state, self._inputs(inputs), np.int32(count))
        return state, jax.block_until_ready(self.collect(totals))

    def lower(self, state: TrainState, inputs: PyTree):
        """The lowered dispatch, for guards and cost estimates."""
        return self._run.lower(state, self._inputs(inputs), np.int32(1))

    def _inputs(self, inputs: PyTree) -> PyTree:
        """Place the inputs; a source that hands out the same object again is placed once."""
        if inputs is not self._seen:
            self._seen, self._placed = inputs, self.place(inputs)
        return self._placed
