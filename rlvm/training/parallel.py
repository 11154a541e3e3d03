"""One step on one device or many: `jit`, `pmap` and `sharded` wrap the same function.

A dispatch is a `fori_loop` over a traced number of steps, so that any number is one trace.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.extend import core
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from rlvm.training import compiler, sharding
from rlvm.training.sharding import AXES, DATA, FSDP
from rlvm.training.state import TrainState
from rlvm.training.step import Step, accumulate, zero_metrics
from rlvm.types import Array, PyTree

MODES = ("jit", "pmap", "sharded")

Dispatch = Callable[[TrainState, PyTree, int], tuple[TrainState, dict[str, Any]]]


def axis_name(mode: str) -> str | None:
    """The axis over which the step averages: pmap's; the others see the global batch."""
    if mode not in MODES:
        raise ValueError(f"No parallel mode '{mode}'. Modes: {', '.join(MODES)}.")
    return DATA if mode == "pmap" else None


def run_steps(step: Step, source, seed: int, select: Callable[[], Array]):
    """(state, inputs, count) -> (state, totals): `count` steps in one loop.

    `select()` gives the positions of the global batch that this device works on. The gradient's
    norm is measured at the last step alone, and stands for all of them in the totals.
    """
    base = jax.random.key(seed)

    @functools.partial(jax.jit, inline=True)  # traced once, for its shapes and in the loop
    def one(state, inputs, start, last):
        key = jax.random.fold_in(base, state.step)
        positions = select()
        batch = source.batch(inputs, start, state.step, positions, key)
        keys = jax.vmap(lambda position: jax.random.fold_in(key, position))(positions)
        return step(state, batch, keys, last)

    def dispatch(state, inputs, count):
        start = state.step

        def body(i, carry):
            state, totals = carry
            now = state.step
            state, metrics = one(state, inputs, start, i == count - 1)
            return state, accumulate(totals, metrics, now)

        shapes = jax.eval_shape(one, state, inputs, start, True)[1]
        state, totals = jax.lax.fori_loop(0, count, body, (state, zero_metrics(shapes)))
        totals["sums"]["gradient_norm"] *= count
        return state, totals

    return dispatch


class Parallel:
    """A parallel mode: where the state lives and how a dispatch is compiled.

    `fsdp` devices share one copy of the state in mode 'sharded', split by `rules` (see sharding).
    """

    def __init__(
        self,
        mode: str,
        step: Step,
        source,
        seed: int,
        devices: Sequence[jax.Device] | None = None,
        fsdp: int = 1,
        rules: sharding.Rules = (),
    ):
        self.mode, self.devices = mode, devices or jax.devices()
        check_devices(mode, len(self.devices), source.batch_size, fsdp)
        self._source, self._rules = source, rules
        self.mesh = sharding.make_mesh(self.devices, fsdp)
        self._steps = run_steps(step, source, seed, self._positions)
        self._run: Any = None  # compiled for the first state: its arrays stay where they are
        self._seen: PyTree = None
        self._placed: PyTree = None

    @property
    def _stacked(self) -> jax.sharding.Sharding:
        """Where pmap keeps its arrays, one row a device."""
        devices = Mesh(np.asarray(self.devices), (DATA,), axis_types=(AxisType.Auto,))
        return NamedSharding(devices, PartitionSpec(DATA))

    def _compiled(self, state: TrainState):
        """The dispatch as a compiled function, made once."""
        if self._run is None and self.mode == "pmap":
            self._run = jax.pmap(
                self._steps, DATA, in_axes=(0, 0, None), donate_argnums=0, devices=self.devices
            )
        elif self._run is None:
            self._run = jax.jit(
                self._steps,
                donate_argnums=0,
                out_shardings=(self.shardings(state), self.replicated),
                compiler_options=compiler.options(self.devices[0].platform),
            )
        return self._run

    def _positions(self) -> Array:
        """Positions of the global batch for the device that asks."""
        if self.mode == "pmap":
            local = self._source.batch_size // len(self.devices)
            return jax.lax.axis_index(DATA) * local + jnp.arange(local)
        positions = self._source.positions()
        if self.mode == "sharded":
            batch = NamedSharding(self.mesh, PartitionSpec(AXES))
            positions = jax.lax.with_sharding_constraint(positions, batch)
        return positions

    @property
    def replicated(self) -> jax.sharding.Sharding:
        """Where arrays live that are not split; in mode 'pmap' before `place` spreads them."""
        if self.mode == "sharded":
            return NamedSharding(self.mesh, PartitionSpec())
        return jax.sharding.SingleDeviceSharding(self.devices[0])

    def shardings(self, tree: PyTree) -> PyTree:
        """Where each array of a tree lives: those of a state may be split, others are whole."""
        if isinstance(tree, TrainState) and self.mesh.shape[FSDP] > 1:
            return sharding.state_shardings(tree, self.mesh, self._rules)
        return jax.tree.map(lambda _: self.replicated, tree)

    def place(self, tree: PyTree) -> PyTree:
        """Put a plain pytree where this mode's dispatch expects it: on every device."""
        if self.mode == "pmap":
            stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(self.devices)), tree)
            return jax.device_put(stacked, self._stacked)
        shardings = self.shardings(tree)
        if jax.process_count() > 1:
            return jax.tree.map(share, tree, shardings)
        return jax.device_put(tree, shardings)

    def collect(self, tree: PyTree) -> PyTree:
        """The plain pytree again: one copy of what `place` spread."""
        if self.mode == "pmap":
            return jax.tree.map(lambda leaf: leaf.addressable_data(0)[0], tree)
        return jax.tree.map(whole, tree)

    def stored(self, state: TrainState) -> TrainState:
        """What a checkpoint holds: the state as it lies on the devices, once."""
        return self.collect(state) if self.mode == "pmap" else state

    def __call__(self, state: TrainState, inputs: PyTree, count: int):
        """Run `count` steps; returns the state and the dispatch's totals."""
        state, totals = self._compiled(state)(state, self._inputs(inputs), np.int32(count))
        return state, jax.block_until_ready(self.collect(totals))

    def program(self, state: TrainState, inputs: PyTree) -> core.Jaxpr:
        """The dispatch before it is lowered; in mode 'pmap' that of one device."""
        run, arguments = self._compiled(state), (state, self._inputs(inputs), np.int32(1))
        made = (
            jax.make_jaxpr(run)(*arguments) if self.mode == "pmap" else run.trace(*arguments).jaxpr
        )
        return made.jaxpr

    def lower(self, state: TrainState, inputs: PyTree):
        """The lowered dispatch."""
        return self._compiled(state).lower(state, self._inputs(inputs), np.int32(1))

    def _inputs(self, inputs: PyTree) -> PyTree:
        """Place the inputs; a source that hands out the same object again is placed once."""
        if inputs is not self._seen:
            streamed = self._source.streamed and self.mode != "jit"
            placed = jax.tree.map(self._deal, inputs) if streamed else self.place(inputs)
            self._seen, self._placed = inputs, placed
        return self._placed

    def _deal(self, rows: np.ndarray) -> Array:
        """This process's rows [steps, B / processes, ...] of a dispatch, to the devices' shares."""
        if self.mode == "sharded":
            batches = NamedSharding(self.mesh, PartitionSpec(None, AXES))
            return jax.make_array_from_process_local_data(batches, rows)
        shares = np.stack(np.split(rows, len(self.devices), axis=1))
        return jax.device_put(shares, self._stacked)


def check_devices(mode: str, num_devices: int, batch_size: int, fsdp: int) -> None:
    """Refuse a mode that is none, and what cannot be spread over the devices."""
    axis_name(mode)
    if jax.process_count() > 1 and mode != "sharded":
        raise ValueError(
            f"parallel={mode} is for one process; {jax.process_count()} are running. "
            "Pass --config.parallel=sharded."
        )
    if fsdp > 1 and mode != "sharded":
        raise ValueError(f"sharding.fsdp={fsdp} needs parallel=sharded; it is {mode}.")
    if mode != "jit" and batch_size % num_devices:
        raise ValueError(
            f"train.batch_size={batch_size} does not divide over {num_devices} "
            f"devices (parallel={mode})."
        )


def share(leaf, target: jax.sharding.Sharding) -> Array:
    """An array that every process holds, as one array over the devices of all of them."""
    if getattr(leaf, "sharding", None) == target:
        return leaf
    held = np.asarray(leaf)
    return jax.make_array_from_callback(held.shape, target, lambda index: held[index])


def whole(leaf: Array):
    """One copy of an array, gathered over devices and processes where it is split."""
    if not leaf.is_fully_replicated:
        return multihost_utils.process_allgather(leaf, tiled=True)
    return leaf.addressable_data(0) if jax.process_count() > 1 else leaf
