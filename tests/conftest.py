"""Eight fake CPU devices for every test; a persistent compilation cache for none."""

import os

FLAG = "--xla_force_host_platform_device_count"
if FLAG not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAG}=8".strip()
# With fewer threads than devices the all-reduce of fake devices can wait for itself.
os.environ.setdefault("NPROC", "16")
os.environ.setdefault("JAX_PLATFORMS", "cpu")


def pytest_addoption(parser):
    """`--regenerate-golden` writes the numbers of tests/golden/ anew."""
    parser.addoption("--regenerate-golden", action="store_true", default=False)
