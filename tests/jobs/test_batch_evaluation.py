"""Many evaluations as one job."""

import json
import shutil

import jax
import numpy as np
import pytest
from etils import epath

from rlvm.jobs import batch_evaluation as batch
from rlvm.jobs import evaluate as single
from rlvm.jobs.batch_evaluation import Share
from rlvm.jobs.evaluate import Request

REQUEST = Request(repeats=2)


@pytest.fixture(scope="module")
def runs_folder(trained, tmp_path_factory):
    """Three runs beside something that is none."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("a", "b", "c"):
        shutil.copytree(trained, folder / name)
    (folder / "notes").mkdir()
    return folder


def plan(folder, pattern="*"):
    return batch.plan(batch.expand([f"{folder}/{pattern}"]), ["best"], REQUEST)


def test_a_line_and_a_file_for_each_workdir_and_none_twice(
    runs_folder, data_dir, tmp_path, monkeypatch
):
    jobs = plan(runs_folder)
    assert [job.path.name for job in jobs] == ["a", "b", "c"]
    first = list(batch.run(jobs[:2], tmp_path, Share(0, 1), data_dir))
    alone = single.evaluate(runs_folder / "a", REQUEST, data_dir)[0]
    assert first[0]["bound_nats"] == alone["bound_nats"] and len(first) == 2
    done = []
    evaluate = batch.evaluate
    monkeypatch.setattr(
        batch, "evaluate", lambda path, *a: (done.append(path), evaluate(path, *a))[1]
    )
    again = list(batch.run(jobs, tmp_path, Share(0, 1), data_dir))
    assert [path.name for path in done] == ["c"], "resumed"
    assert again[:2] == first
    files = sorted(tmp_path.glob("*.json"))
    assert [json.loads(file.read_text()) for file in files] == again
    for file in files:  # with the NLL of each example beside it
        nll = np.load(file.with_suffix(".npz"))["nll"]
        assert nll.shape == (15,) and nll.mean() == pytest.approx(alone["bound_nats"])


def test_shares_are_all_jobs_and_each_once(runs_folder, data_dir, tmp_path):
    jobs = plan(runs_folder)
    counts = [len(list(batch.run(jobs, tmp_path, Share(k, 2), data_dir))) for k in range(2)]
    assert counts == [2, 1]
    assert {file.name for file in tmp_path.glob("*.json")} == {job.filename for job in jobs}
    assert Share.parse("1/2") == Share(1, 2) and Share.parse("") == Share(0, 1)
    for wrong in ("2/2", "x/2", "1", "1/"):
        with pytest.raises(ValueError, match="expected INDEX/COUNT"):
            Share.parse(wrong)


def test_one_that_fails_leaves_the_others_alone(runs_folder, data_dir, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(runs_folder / "a", broken)
    record = json.loads((broken / "data.json").read_text())
    (broken / "data.json").write_text(json.dumps({**record, "sha256": {}}))
    jobs = batch.plan([epath.Path(broken), epath.Path(runs_folder / "b")], ["best"], REQUEST)
    found = batch.run(jobs, tmp_path / "out", Share(0, 1), data_dir)
    assert next(found)["bound_nats"] > 0
    with pytest.raises(ValueError, match=r"1 evaluations failed: .*broken"):
        next(found)


def test_a_pattern_without_workdirs_and_a_folder_without_a_run_are_refused(tmp_path):
    with pytest.raises(ValueError, match="matches no workdir"):
        batch.expand([f"{tmp_path}/*"])
    with pytest.raises(ValueError, match="--workdir names no workdir"):
        batch.expand([])
    with pytest.raises(ValueError, match="is no workdir"):
        batch.plan([epath.Path(tmp_path)], ["best"], REQUEST)


def test_a_batch_over_many_devices_gives_the_numbers_of_one(trained, data_dir, monkeypatch):
    monkeypatch.setattr(single, "ROWS_PER_DEVICE", 1)
    sharding, size = single.spread(15)
    assert sharding.num_devices == len(jax.local_devices()) == 8 and size == 16
    spread = single.evaluate(trained, REQUEST, data_dir)[1]["nll"]
    monkeypatch.setattr(single, "ROWS_PER_DEVICE", 32)
    assert single.spread(15)[0].num_devices == 1
    np.testing.assert_allclose(
        spread, single.evaluate(trained, REQUEST, data_dir)[1]["nll"], rtol=1e-5
    )
