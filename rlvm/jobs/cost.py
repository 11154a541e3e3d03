"""What one training step costs, counted from its program, and how long machines would take for it.

Operations are counted in the jaxpr: a scan's body times its length, which compilers' own counts
leave out. Bytes are what matmuls and convolutions read and write plus one pass over the state; what
XLA fuses into them is free. Times are the largest of three quotients (a roofline), not measured.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.extend import core
from ml_collections import ConfigDict

from rlvm.jobs import experiment as experiments
from rlvm.training.parallel import Parallel
from rlvm.training.state import TrainState
from rlvm.training.step import make_step
from rlvm.types import PyTree

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Operations:
    """Floating-point operations of matmuls and convolutions, their bytes, and all other results."""

    matmul_flops: int = 0
    matmul_bytes: int = 0
    elementwise: int = 0

    def __add__(self, other: "Operations") -> "Operations":
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Operations(*(a + b for a, b in pairs))

    def __mul__(self, times: int) -> "Operations":
        return Operations(*(times * value for value in dataclasses.astuple(self)))


@dataclasses.dataclass(frozen=True)
class StepCost:
    """One step on the global batch: its operations, and bytes of parameters and of the state."""

    operations: Operations
    parameter_bytes: int
    state_bytes: int

    def __str__(self) -> str:
        """A line for the log."""
        matmul, other = self.operations.matmul_flops, self.operations.elementwise
        total = matmul + other
        return (
            f"{total / 1e9:.3g} GFLOP a step ({matmul / total:.0%} in matmuls and "
            f"convolutions, which move {self.operations.matmul_bytes / 1e6:.3g} MB), state "
            f"{self.state_bytes / 1e6:.3g} MB"
        )


@dataclasses.dataclass(frozen=True)
class Machine:
    """Peak rates of one device, a second: operations in bfloat16, bytes of memory and of links."""

    devices: int
    flops: float
    memory: float
    links: float


# vendors' data sheets
MACHINES = {
    "v5e-256": Machine(256, 197e12, 819e9, 200e9),
    "8xH100": Machine(8, 989e12, 3.35e12, 450e9),
}


def operations(function: Callable, *arguments: Any) -> Operations:
    """What `function` computes for arguments of these shapes; nothing is run."""
    return _of_jaxpr(jax.make_jaxpr(function)(*arguments).jaxpr)


def _of_jaxpr(jaxpr: core.Jaxpr) -> Operations:
    return sum((_of_equation(equation) for equation in jaxpr.eqns), Operations())


def _of_equation(equation: core.JaxprEqn) -> Operations:
    name, params = equation.primitive.name, equation.params
    inner = [_of_jaxpr(jaxpr) for jaxpr in core.jaxprs_in_params(params)]
    if name == "scan":
        return inner[0] * params["length"]
    if platforms := params.get("branches_platforms"):  # accelerators take what is not for CPU
        return inner[platforms.index(None)]
    if name == "cond":  # the dearest branch
        return max(inner, key=lambda found: found.matmul_flops + found.elementwise)
    if inner:  # a while loop's body counts once: its length is not in the program
        return sum(inner, Operations())
    size = sum(math.prod(_shape(out)) for out in equation.outvars)
    if name not in ("dot_general", "conv_general_dilated"):
        return Operations(elementwise=size)
    moved = sum(_bytes(variable.aval) for variable in (*equation.invars, *equation.outvars))
    return Operations(2 * size * _terms(equation), moved)


def _terms(equation: core.JaxprEqn) -> int:
    """How many products each result of a matmul or convolution sums."""
    left, right = (_shape(variable) for variable in equation.invars)
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return math.prod(left[axis] for axis in contracted)
    out_channels = equation.params["dimension_numbers"].rhs_spec[0]
    return math.prod(right) // right[out_channels]


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _bytes(shaped) -> int:
    return math.prod(shaped.shape) * np.dtype(shaped.dtype).itemsize


def of_config(config: ConfigDict, example: Mapping[str, np.ndarray]) -> StepCost:
    """The cost of one step of `config` on batches like `example`."""
    return of_step(experiments.build(config, example))


def of_step(experiment: experiments.Experiment) -> StepCost:
    """The cost of one step of an experiment on its global batch."""
    step = make_step(experiment.objective, experiment.optimizer)
    state, (batch, keys) = experiment.abstract_state(), experiment.abstract_batch()
    return StepCost(operations(step, state, batch, keys), _total(state.params), _total(state))


def of_dispatch(mode: Parallel, state: TrainState, inputs: PyTree) -> StepCost:
    """The cost of one step as `mode` computes it, all its devices together."""
    copies = len(mode.devices) if mode.mode == "pmap" else 1
    found = _of_jaxpr(mode.program(state, inputs)) * copies
    return StepCost(found, _total(state.params) // copies, _total(state) // copies)


def _total(tree: PyTree) -> int:
    return sum(_bytes(leaf) for leaf in jax.tree.leaves(tree))


def seconds(cost: StepCost, machine: Machine) -> dict[str, float]:
    """Least seconds of a data-parallel step by arithmetic, by memory and by links.

    Every device works on its share of the batch, passes once over the whole state, reading and
    writing, and takes part in a ring all-reduce of the gradients.
    """
    share = 1 / machine.devices
    flops = cost.operations.matmul_flops + cost.operations.elementwise
    return {
        "arithmetic": flops * share / machine.flops,
        "memory": (cost.operations.matmul_bytes * share + 2 * cost.state_bytes) / machine.memory,
        "links": 2 * (1 - share) * cost.parameter_bytes / machine.links,
    }


def compile_ahead(mode: Parallel, state: TrainState, inputs: PyTree) -> None:
    """Compile the dispatch before its first call; log what a step costs, and what a device needs.

    One trace of the step serves the count, the compilation and the calls.
    """
    started = time.perf_counter()
    LOG.info("%s.", of_dispatch(mode, state, inputs))
    memory = mode.lower(state, inputs).compile().memory_analysis()
    LOG.info(
        "Compiled in %.1f s: on a device %.3g MB of state and data, %.3g MB of temporaries.",
        time.perf_counter() - started,
        memory.argument_size_in_bytes / 1e6,
        memory.temp_size_in_bytes / 1e6,
    )
