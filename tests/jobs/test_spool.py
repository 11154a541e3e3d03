"""Logs of a run whose workdir is in an object store: written here, copied at checkpoints."""

import json

import pytest
from etils import epath

from rlvm.jobs import train as job
from rlvm.jobs.spool import Spool
from rlvm.training import metrics
from rlvm.training.checkpoint import Checkpoints

URL = "gs://bucket/runs/W"


def test_a_local_workdir_is_its_own_folder(tmp_path):
    spool = Spool(epath.Path(tmp_path))
    (spool.folder / "metrics.jsonl").write_text("kept")
    spool.close()
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_lines_reach_the_store_when_they_are_published(bucket):
    bucket("machine")
    spool = Spool(epath.Path(URL))
    log = metrics.Log(spool.folder, 0)
    log.write(1, 0.1, {"train/loss": 2.0})
    assert metrics.read(URL) == []
    spool.publish()
    assert [line["step"] for line in metrics.read(URL)] == [1]
    log.write(2, 0.2, {"train/loss": 1.0})
    log.close()
    spool.close()
    assert [line["step"] for line in metrics.read(URL)] == [1, 2]
    assert list((epath.Path(URL) / "tensorboard").glob("events*"))
    assert not spool.folder.exists()


def test_only_the_process_that_writes_copies_anything(bucket):
    bucket("machine")
    spool = Spool(epath.Path(URL), writes=False)
    assert spool.folder == epath.Path(URL)
    spool.close()
    assert not epath.Path(URL).exists()


@pytest.mark.slow
def test_a_run_in_a_bucket_resumes_with_its_log(bucket, small, tmp_path, data_dir, monkeypatch):
    """Checkpoints are kept elsewhere: Orbax would talk to Google itself."""
    bucket("machine")
    monkeypatch.setattr(job, "Checkpoints", lambda path, keep: Checkpoints(tmp_path, keep))
    job.train(small(**{"train.num_steps": 6}), URL, data_dir)
    assert int(job.train(small(), URL, data_dir).step) == 12
    lines = metrics.read(URL)
    assert [line["step"] for line in lines if "train/loss" in line] == [2, 4, 6, 8, 10, 12]
    assert len(list((epath.Path(URL) / "tensorboard").glob("events*"))) == 2
    assert json.loads((epath.Path(URL) / "config.json").read_text())["train"]["num_steps"] == 12
