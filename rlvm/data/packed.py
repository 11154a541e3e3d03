"""The packed copy of a data set: one memory-mapped `.npy` per array and an index with its hashes.

    folder/index.json      name, kind, binarize, sha256 of each split, dtype and shape of each array
    folder/train.x.npy ...

A copy is made in a staging folder and moved to its place by one rename, so that what stands there
is whole, however a preparation ended and however many ran at once.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rlvm.data.source import Splits

INDEX = "index.json"


def content_hash(arrays: Mapping[str, np.ndarray]) -> str:
    """The sha256 of a split: names, dtypes, shapes and bytes of its arrays, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def write(folder: Path, splits: Splits, *, name: str, kind: str, binarize: bool) -> None:
    """Write the copy into `folder`, its index last."""
    folder.mkdir(parents=True)
    index: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "binarize": binarize,
        "sha256": {},
        "splits": {},
    }
    for split, arrays in splits.items():
        for array_name, array in arrays.items():
            np.save(folder / f"{split}.{array_name}.npy", np.ascontiguousarray(array))
        index["sha256"][split] = content_hash(arrays)
        index["splits"][split] = {
            array_name: {"dtype": array.dtype.str, "shape": array.shape}
            for array_name, array in arrays.items()
        }
    (folder / INDEX).write_text(json.dumps(index, indent=1))


def is_whole(folder: Path) -> bool:
    """Whether a packed copy stands in `folder`."""
    return (folder / INDEX).is_file()


def read(folder: Path) -> dict[str, Any]:
    """The index of the copy, with memory-mapped arrays in its 'splits'."""
    try:
        index = json.loads((folder / INDEX).read_text())
        index["splits"] = {
            split: {
                name: _map(folder / f"{split}.{name}.npy", spec) for name, spec in specs.items()
            }
            for split, specs in index["splits"].items()
        }
    except (ValueError, KeyError, AttributeError, TypeError, OSError) as error:
        raise ValueError(f"{folder} is damaged: delete this folder and prepare it again") from error
    return index


def _map(path: Path, spec: Mapping[str, Any]) -> np.ndarray:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype.str != spec["dtype"] or array.shape != tuple(spec["shape"]):
        raise ValueError(f"{path} does not agree with its index")
    return array


@contextlib.contextmanager
def staging(data_dir: Path) -> Iterator[Path]:
    """A private folder on the file system of `data_dir`, removed at the end."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".incomplete-", dir=data_dir))
    except OSError as error:
        raise ValueError(f"cannot write to data_dir {data_dir}: {error.strerror}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(made: Path, folder: Path, packed: str = "") -> None:
    """Move `made` to `folder`, unless another process has put a whole one there first.

    `packed` is where the packed copy lies within the folder.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists() and not is_whole(folder / packed):
        with contextlib.suppress(FileNotFoundError):  # another process may clear it away too
            os.rename(folder, made.with_name(made.name + ".replaced"))
    try:
        os.rename(made, folder)
    except OSError:
        if not is_whole(folder / packed):
            raise
