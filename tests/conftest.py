"""Eight fake CPU devices for every test; a persistent compilation cache for none."""

import os

import pytest

FLAG = "--xla_force_host_platform_device_count"
if FLAG not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAG}=8".strip()
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
