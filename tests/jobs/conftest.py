import numpy as np
import pytest
import runs


@pytest.fixture(scope="session")
def own_file(tmp_path_factory):
    """An .npz of binary vectors whose halves repeat each other, so that latents pay."""
    draw = np.random.default_rng(0)

    def rows(count):
        half = draw.integers(0, 2, (count, 5))
        return np.concatenate([half, half], axis=1).astype(np.uint8)

    path = tmp_path_factory.mktemp("own") / "own.npz"
    np.savez(path, train=rows(40), valid=rows(12), test=rows(15))
    return path


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """Jobs keep compiled programs in $RLVM_CACHE: one folder for all tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLVM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def small(own_file):
    """A config of 12 steps on `own_file`, with overrides as dotted keys."""
    return lambda **overrides: runs.small_config(**{"data.path": str(own_file), **overrides})


@pytest.fixture(scope="session")
def trained(own_file, data_dir, tmp_path_factory):
    """The workdir of a finished run."""
    from rlvm.jobs.train import train

    workdir = tmp_path_factory.mktemp("trained")
    train(runs.small_config(**{"data.path": str(own_file)}), workdir, data_dir)
    return workdir
