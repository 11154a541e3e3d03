"""Eight fake CPU devices for every test; a persistent compilation cache for none."""

import os

import pytest

FLAGS = (
    "--xla_force_host_platform_device_count=8",
    # A test mostly compiles: code of a lower level is made in half the time, and runs long enough.
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
)
given = os.environ.get("XLA_FLAGS", "")
missing = [flag for flag in FLAGS if flag.split("=")[0] not in given]
os.environ["XLA_FLAGS"] = " ".join([given, *missing]).strip()
# With fewer threads than devices the all-reduce of fake devices can wait for itself.
os.environ.setdefault("NPROC", "16")
os.environ.setdefault("JAX_PLATFORMS", "cpu")


def pytest_addoption(parser):
    """`--regenerate-golden` writes the numbers of tests/golden/ anew."""
    parser.addoption("--regenerate-golden", action="store_true", default=False)


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """An empty gs://bucket and a home of its own; returns a function that changes machines."""
    from bucket import Bucket
    from etils.epath import backend

    monkeypatch.setattr(Bucket, "store", {})
    monkeypatch.setattr(Bucket, "pseudo_dirs", [""])
    monkeypatch.setattr(backend.fsspec_backend, "_get_filesystem", lambda name: Bucket())
    return lambda machine: monkeypatch.setenv("HOME", str(tmp_path / machine))
