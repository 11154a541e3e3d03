import concurrent.futures
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from rlvm.data import builder, dataset, packed


def test_builder_round_trip(toy, tmp_path):
    data = dataset.load("toy/drawn", data_dir=tmp_path)
    assert data.name == "toy/drawn" and data.kind == "binary"
    expected = np.random.default_rng(0).integers(0, 2, (9, 5, 3))
    train, test = data.splits["train"], data.splits["test"]
    np.testing.assert_array_equal(train["x"], expected[:6])
    np.testing.assert_array_equal(test["x"], expected[6:, :4])
    np.testing.assert_array_equal(train["lengths"], [1, 2, 3, 4, 5, 5])
    assert train["u"].shape == (6, 5, 1) and test["u"].shape == (3, 4, 1)
    assert {name: a.dtype.str for name, a in train.items()} == {
        "x": "|u1",
        "lengths": "<i4",
        "u": "<f4",
    }
    assert data.sha256 == {s: packed.content_hash(a) for s, a in data.splits.items()}


def test_tfds_files_lie_beside_the_packed_copy(toy, tmp_path):
    dataset.load("toy/other", data_dir=tmp_path)
    folder = tmp_path / "toy/other/1.0.0"
    assert (folder / "dataset_info.json").is_file() and list(folder.glob("*.array_record*"))
    rows = builder.tfds.builder_from_directory(folder).as_data_source(split="test")
    np.testing.assert_array_equal(rows[0]["x"], np.load(folder / "packed/test.x.npy")[0])
    assert [path.name for path in tmp_path.iterdir()] == ["toy"], "nothing else stays behind"


def test_prepared_once(toy, tmp_path):
    first = dataset.load("toy/drawn", data_dir=tmp_path)
    assert dataset.load("toy/drawn", data_dir=str(tmp_path)).sha256 == first.sha256
    assert toy == [("drawn", 0)]


def test_seeded_content_has_a_name_of_its_own(toy, tmp_path):
    first, second = (dataset.load("toy/drawn", data_dir=tmp_path, seed=s) for s in (0, 7))
    assert second.name == "toy/drawn_seed7" and first.sha256 != second.sha256
    dataset.load("toy/other", data_dir=tmp_path, seed=0)
    dataset.load("toy/other", data_dir=tmp_path, seed=7)
    assert toy == [("drawn", 0), ("drawn", 7), ("other", 0)]


def test_two_at_once(toy, tmp_path, monkeypatch):
    barrier = threading.Barrier(2)
    write = packed.write

    def write_together(*args, **kwargs):
        write(*args, **kwargs)
        barrier.wait(30)

    monkeypatch.setattr(packed, "write", write_together)
    folders = [dataset._find("toy") for _ in range(2)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(dataset.load, "toy/drawn", data_dir=tmp_path) for _ in folders]
        first, second = (job.result() for job in jobs)
    assert first.sha256 == second.sha256
    np.testing.assert_array_equal(first.splits["train"]["x"], second.splits["train"]["x"])
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_unknown_names(tmp_path):
    for name in ("conect4", "dataset", "../connect4", "", "Connect4"):
        with pytest.raises(ValueError) as error:
            dataset.load(name, data_dir=tmp_path)
        message = str(error.value)
        assert message.startswith(f"No data set '{name.split('/')[0]}'. Data sets: arrays, ")
        assert "binarized_mnist, " in message and "connect4, " in message
        assert "packed" not in message
    with pytest.raises(
        ValueError, match=r"No data set 'connect4/x'\. Of this set there are: connect4/"
    ):
        dataset.load("connect4/x", data_dir=tmp_path)
    with pytest.raises(ValueError, match=r"No data set 'mnist'\. Of this set there are: mnist"):
        dataset.load("mnist", data_dir=tmp_path)


def test_a_remote_manual_dir_is_refused(tmp_path):
    with pytest.raises(ValueError, match="manual_dir gs://b/d is not a local folder"):
        dataset.load("connect4", data_dir=tmp_path, manual_dir="gs://b/d")


def test_default_data_dir(monkeypatch):
    monkeypatch.setenv("RLVM_DATA", "/somewhere")
    assert dataset.default_data_dir() == "/somewhere"
    monkeypatch.delenv("RLVM_DATA")
    monkeypatch.setenv("HOME", "/home/me")
    assert dataset.default_data_dir() == "/home/me/.cache/rlvm/data"


def test_opening_imports_neither_tfds_nor_jax(own_split):
    _, data_dir = own_split
    program = (
        "import sys; from rlvm.data.dataset import load\n"
        f"print(len(load('connect4', data_dir={str(data_dir)!r}).splits['test']['x']))\n"
        "print([m for m in ('tensorflow_datasets', 'jax', 'tensorflow') if m in sys.modules])"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    root = Path(__file__).parents[2]
    result = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=root, env=os.environ
    )
    assert result.stdout.split("\n")[:2] == ["47557", "[]"]


def test_prepare_says_what_it_made(toy, tmp_path, capsys):
    from rlvm.jobs.prepare_data import prepare

    data = prepare("toy/drawn", tmp_path)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith(f"toy/drawn (binary) in {tmp_path}, ") and first.endswith(" s")
    assert lines[0] == (
        f"  train: x [6, 5, 3], lengths [6], u [6, 5, 1], sha256 {data.sha256['train']}"
    )
    assert len(lines) == 2
