"""One run as many processes, by JAX's own runtime: who joins, and who goes first."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from jax.experimental import multihost_utils

# environment variable: (argument of jax.distributed.initialize, its type)
ANNOUNCED: dict[str, tuple[str, type]] = {
    "JAX_COORDINATOR_ADDRESS": ("coordinator_address", str),
    "JAX_NUM_PROCESSES": ("num_processes", int),
    "JOB_COMPLETION_INDEX": ("process_id", int),  # from Kubernetes, in a pod of an indexed job
    "JAX_PROCESS_ID": ("process_id", int),
}
IN_STEP, APART = 100, 7 * 86_400  # seconds that a process which ends waits for the others


def join(
    asked: bool | None = None,
    environment: Mapping[str, str] = os.environ,
    patience: int = IN_STEP,
) -> None:
    """Become one process of many where asked to, by default where the environment tells of others.

    What the environment does not say, JAX finds out: on a TPU pod, under SLURM, MPI or Kubernetes.
    Call it before anything touches a device. Processes that do different work end far APART.
    """
    if announced(environment) if asked is None else asked:
        jax.distributed.initialize(**arguments(environment), shutdown_timeout_seconds=patience)


def announced(environment: Mapping[str, str]) -> bool:
    """Whether the environment tells of other processes."""
    if "JAX_COORDINATOR_ADDRESS" in environment:
        return True
    if "SLURM_STEP_NODELIST" in environment:
        return int(environment.get("SLURM_NTASKS", "1")) > 1
    return "," in environment.get("TPU_WORKER_HOSTNAMES", "")


def arguments(environment: Mapping[str, str]) -> dict[str, Any]:
    """What the environment says outright."""
    return {
        name: kind(environment[variable])
        for variable, (name, kind) in ANNOUNCED.items()
        if variable in environment
    }


def is_first() -> bool:
    """Whether this process writes what is written once: configs, metrics, a progress bar."""
    return jax.process_index() == 0


@contextlib.contextmanager
def first_alone(what: str) -> Iterator[None]:
    """The body runs in the first process, then in the others: they find what it has prepared."""
    if not is_first():
        multihost_utils.sync_global_devices(what)
    yield
    if is_first():
        multihost_utils.sync_global_devices(what)
