"""Fully sharded states: which arrays are split over the mesh axis `fsdp`, along which dimension.

Rules are pairs (regex, dimension). The first whose regex is found in a parameter's path decides;
its dimension None keeps the parameter whole. Without a rule, a kernel (two dimensions or more) is
split along the largest dimension that divides. Whatever copies the parameters (an optimizer's
moments, an average, a teacher) is split as they are.
"""

import re
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from rlvm.training.state import TrainState
from rlvm.types import PyTree

DATA, FSDP = "data", "fsdp"
AXES = (DATA, FSDP)  # a batch is split over both
SHOWN = 8  # names in an error

Rules = Sequence[tuple[str, int | None]]
Path = tuple[str, ...]


def make_mesh(devices: Sequence[jax.Device], fsdp: int) -> Mesh:
    """The devices as [data, fsdp], those of one process side by side."""
    if fsdp < 1 or len(devices) % fsdp:
        raise ValueError(f"sharding.fsdp={fsdp} does not divide {len(devices)} devices.")
    ordered = sorted(devices, key=lambda device: (device.process_index, device.id))
    grid = np.asarray(ordered).reshape(-1, fsdp)
    return Mesh(grid, AXES, axis_types=(AxisType.Auto,) * 2)


def state_shardings(state: TrainState, mesh: Mesh, rules: Rules) -> PyTree:
    """Where each array of a state lives: split like the parameter whose path ends its own."""
    specs = parameter_specs(state.params, rules, mesh.shape[FSDP])
    shapes = {path: leaf.shape for path, leaf in leaves(state.params)}

    def sharding(path, leaf) -> NamedSharding:
        names = split(path)
        for start in range(len(names)):
            if shapes.get(names[start:]) == leaf.shape:
                return NamedSharding(mesh, specs[names[start:]])
        return NamedSharding(mesh, PartitionSpec())

    return jax.tree_util.tree_map_with_path(sharding, state)


def parameter_specs(params: PyTree, rules: Rules, size: int) -> dict[Path, PartitionSpec]:
    """The split of each parameter over an axis of `size` devices."""
    shapes = {path: leaf.shape for path, leaf in leaves(params)}
    names = {path: "/".join(path) for path in shapes}
    for regex, _ in rules:
        if not any(re.search(regex, name) for name in names.values()):
            some = ", ".join(sorted(names.values())[:SHOWN])
            raise ValueError(
                f"sharding.rules: no parameter's path matches '{regex}'. Parameters: {some}"
                + (", ..." if len(names) > SHOWN else ".")
            )
    return {path: spec(names[path], shape, rules, size) for path, shape in shapes.items()}


def spec(name: str, shape: tuple[int, ...], rules: Rules, size: int) -> PartitionSpec:
    """The split of one parameter: by the first rule for it, else along its largest dimension."""
    for regex, dimension in rules:
        if re.search(regex, name):
            check(name, shape, dimension, size)
            return along(dimension, len(shape))
    divisible = [k for k, length in enumerate(shape) if length % size == 0]
    if len(shape) < 2 or not divisible:
        return PartitionSpec()
    return along(max(divisible, key=lambda k: shape[k]), len(shape))


def check(name: str, shape: tuple[int, ...], dimension: int | None, size: int) -> None:
    """Refuse a dimension that a parameter has not, or that does not divide."""
    if dimension is None:
        return
    if not -len(shape) <= dimension < len(shape):
        raise ValueError(f"sharding.rules: {name} {list(shape)} has no dimension {dimension}.")
    if shape[dimension] % size:
        raise ValueError(
            f"sharding.rules: dimension {dimension} of {name} {list(shape)} does not divide over "
            f"sharding.fsdp={size}."
        )


def along(dimension: int | None, num_dimensions: int) -> PartitionSpec:
    """The split along one dimension, or none."""
    if dimension is None:
        return PartitionSpec()
    return PartitionSpec(*[None] * (dimension % num_dimensions), FSDP)


def leaves(tree: PyTree) -> Iterator[tuple[Path, jax.Array]]:
    """The leaves with the names on their way."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield split(path), leaf


def split(path) -> Path:
    """The names of a path's keys."""
    return tuple(jax.tree_util.keystr((key,), simple=True) for key in path)
