"""The folder of a run: its config, its versions, its lock."""

import contextlib
import fcntl
import importlib.metadata
import json
import os
import pathlib
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from rlvm.data import remote
from rlvm.data.dataset import Dataset
from rlvm.jobs import config as configs

PACKAGES = ("jax", "jaxlib", "flax", "optax", "distrax", "orbax-checkpoint", "numpy", "rlvm")


class InUse(ValueError):
    """Another run holds the workdir."""


def versions() -> dict[str, str]:
    """Versions of the packages that decide a number."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def commit() -> str | None:
    """The checkout's commit, '-dirty' where files differ from it; None outside a checkout."""
    root = pathlib.Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True
        )
    except OSError:
        return None
    return (head.stdout.strip() + ("-dirty" if changed.stdout else "")) or None


def hardware() -> str:
    """The devices in words."""
    import jax

    device = jax.devices()[0]
    return f"{jax.device_count()} x {device.device_kind}, {os.cpu_count()} host cores"


def open_run(workdir: epath.PathLike, config: ConfigDict) -> epath.Path:
    """Make the workdir or check that it holds the same experiment; writes config and versions."""
    path = epath.Path(workdir)
    path.mkdir(parents=True, exist_ok=True)
    if begun(path):
        changed = configs.differences(read_config(path), config)
        if changed:
            raise ValueError(
                f"{workdir} holds another experiment; use a new --workdir. Differing: "
                + "; ".join(changed)
            )
    write_whole(path / "config.json", configs.to_json(config))
    write_whole(path / "versions.json", json.dumps(versions(), indent=1))
    return path


def begun(workdir: epath.Path) -> bool:
    """Whether a run got as far as its log: one that failed on its config has left nothing."""
    return (workdir / "metrics.jsonl").exists()


def write_whole(path: epath.Path, text: str) -> None:
    """Write a file at once, so that a kill leaves the old one or the new one."""
    partial = path.parent / f"{path.name}.partial"
    partial.write_text(text)
    partial.replace(path)


def write_data(workdir: epath.Path, data: Dataset, example: Mapping[str, np.ndarray]) -> None:
    """Record what the run was trained on: `data.json`, enough to rebuild the model without it."""
    record = {
        "name": data.name,
        "kind": data.kind,
        "binarize": data.binarize,
        "sha256": dict(data.sha256),
        "example": {k: [list(v.shape), str(v.dtype)] for k, v in example.items()},
    }
    path = workdir / "data.json"
    if begun(workdir) and json.loads(path.read_text()) != record:
        before = json.loads(path.read_text())["name"]
        raise ValueError(
            f"{workdir} was trained on {before}; {data.name} has other content. "
            "Use a new --workdir."
        )
    write_whole(path, json.dumps(record, indent=1))


def read_data(workdir: epath.PathLike) -> dict[str, Any]:
    """What `write_data` wrote, with `example` as a batch of zeros."""
    record = json.loads((epath.Path(workdir) / "data.json").read_text())
    example = {k: np.zeros(shape, dtype) for k, (shape, dtype) in record["example"].items()}
    return {**record, "example": {**example, "mask": np.ones_like(example["mask"])}}


def read_config(workdir: epath.PathLike) -> ConfigDict:
    """The config a workdir was trained with."""
    path = epath.Path(workdir) / "config.json"
    if not path.exists():
        raise ValueError(f"{workdir} is no workdir: it has no config.json. Train into it first.")
    return configs.from_json(path.read_text())


@contextlib.contextmanager
def lock(workdir: epath.PathLike) -> Iterator[None]:
    """Hold the workdir for one run; the kernel lets go when the process ends, however it ends."""
    path = epath.Path(workdir)
    if remote.is_remote(workdir):  # no locks in object stores
        yield
        return
    path.mkdir(parents=True, exist_ok=True)
    with open(path / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUse(f"Another run is writing to {workdir}; wait or use another.") from error
        yield
