"""A data_dir in an object store (gs://): data sets are kept there, and mapped from local copies.

Only whole data sets travel: an index is copied last, so that what has one is whole.
"""

import os
from pathlib import Path

from etils import epath

from rlvm.data.packed import INDEX


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path is a URL rather than a folder of this machine."""
    return "://" in os.fspath(path)


def open_store(url: str | os.PathLike) -> epath.Path:
    """The folder behind a URL, once it can be reached."""
    store = epath.Path(url)
    try:
        store.exists()
    except ImportError as error:
        raise ValueError(
            f"data_dir {url} cannot be read ({error}). For gs:// run: pip install 'rlvm[gcs]'"
        ) from error
    return store


def local_copies(remote: str | os.PathLike) -> Path:
    """The local folder that stands for `remote`: ~/.cache/rlvm/remote/bucket/..."""
    bucket_and_path = os.fspath(remote).split("://", 1)[1]
    return Path("~/.cache/rlvm/remote").expanduser().joinpath(*bucket_and_path.split("/"))


def copy(source: epath.Path, target: epath.Path) -> None:
    """Copy a folder with all below it, indices after everything else."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir(), key=lambda e: (e.name == INDEX, e.is_dir(), e.name)):
        there = target / entry.name
        if entry.is_dir():
            copy(entry, there)
        else:
            there.write_bytes(entry.read_bytes())
