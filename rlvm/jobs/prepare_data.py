"""Prepare a data set: build it, pack it, say what it holds."""

import time

from rlvm.data import dataset


def prepare(
    name: str, data_dir: dataset.PathLike, manual_dir: dataset.PathLike | None = None
) -> dataset.Dataset:
    """Prepare the data set `name` under `data_dir`, print what it holds and return it."""
    start = time.perf_counter()
    data = dataset.load(name, data_dir=data_dir, manual_dir=manual_dir)
    seconds = time.perf_counter() - start
    print(f"{data.name} ({data.kind}) in {data_dir}, {seconds:.1f} s")
    for split, arrays in data.splits.items():
        shapes = ", ".join(f"{key} {list(array.shape)}" for key, array in arrays.items())
        print(f"  {split}: {shapes}, sha256 {data.sha256[split]}")
    return data
