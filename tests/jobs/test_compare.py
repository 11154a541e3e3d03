import numpy as np
import pytest

from rlvm.jobs.compare import compare


def write(folder, name, nll, y):
    np.savez(folder / name, nll=nll, y=y, lengths=np.full(len(nll), 4))
    return str(folder / name)


def test_seeds_are_averaged_and_labels_are_clusters(tmp_path):
    rng = np.random.default_rng(0)
    base, y = rng.normal(size=60), np.arange(60) // 6
    left = [write(tmp_path, f"l{s}.npz", base + s, y) for s in (0.0, 2.0)]
    right = [write(tmp_path, f"r{s}.npz", base - s, y) for s in (0.0, 1.0)]
    found = compare(left, right)
    np.testing.assert_allclose(found["difference_nats"], 1.5)
    np.testing.assert_allclose(found["difference_nats_95"], [1.5, 1.5])
    np.testing.assert_allclose(found["by_seed"], [0.0, 3.0])
    assert (found["num_clusters"], found["steps_per_example"]) == (10, 4.0)
    np.testing.assert_allclose(compare(left, right[:1])["by_seed"], [0.0, 2.0])


def test_files_of_other_examples_are_refused(tmp_path):
    left = write(tmp_path, "l.npz", np.zeros(4), np.arange(4))
    right = write(tmp_path, "r.npz", np.zeros(4), np.arange(4) + 1)
    with pytest.raises(ValueError, match="not of the same examples"):
        compare([left], [right])
    with pytest.raises(ValueError, match="No file"):
        compare([left], [str(tmp_path / "x.npz")])
