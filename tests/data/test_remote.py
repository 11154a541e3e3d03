"""Data sets in an object store, played by an in-memory file system behind gs://."""

import numpy as np
import pytest
from etils import epath
from etils.epath import backend

from rlvm.data import dataset, remote


def test_a_second_machine_fetches_what_the_first_prepared(toy, bucket):
    bucket("first")
    first = dataset.load("toy/drawn", data_dir="gs://bucket/data")
    bucket("second")
    second = dataset.load("toy/drawn", data_dir="gs://bucket/data")
    assert toy == [("drawn", 0)], "read from its source once"
    assert second.sha256 == first.sha256
    np.testing.assert_array_equal(second.splits["test"]["x"], first.splits["test"]["x"])
    assert isinstance(second.splits["test"]["x"], np.memmap)


def test_what_is_not_whole_in_the_store_is_prepared_again(toy, bucket):
    bucket("first")
    dataset.load("toy/drawn", data_dir="gs://bucket/data")
    index = epath.Path("gs://bucket/data/toy/drawn/1.0.0/packed/index.json")
    index.unlink()
    bucket("second")
    dataset.load("toy/drawn", data_dir="gs://bucket/data")
    assert toy == [("drawn", 0)] * 2 and index.exists()


def test_an_index_is_copied_last(tmp_path, monkeypatch):
    for name in ("packed/index.json", "packed/train.x.npy", "a.array_record"):
        path = tmp_path / "from" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    copied = []
    write = type(epath.Path(tmp_path)).write_bytes
    monkeypatch.setattr(
        type(epath.Path(tmp_path)),
        "write_bytes",
        lambda self, data: (copied.append(self.name), write(self, data)),
    )
    remote.copy(epath.Path(tmp_path / "from"), epath.Path(tmp_path / "to"))
    assert copied == ["a.array_record", "train.x.npy", "index.json"]


def test_without_the_library_of_the_store_one_line_says_so(toy, bucket, monkeypatch):
    def missing(name):
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(backend.fsspec_backend, "_get_filesystem", missing)
    with pytest.raises(ValueError, match=r"data_dir gs://b/d .*rlvm\[gcs\]"):
        dataset.load("toy/drawn", data_dir="gs://b/d")
