"""rlvm: a JAX/Flax model zoo of deep latent-variable models."""

import importlib

_LAZY = {"load": "rlvm.jobs.load", "load_exported": "rlvm.exported"}


def __getattr__(name: str):
    """Import what is asked for, so that `import rlvm` itself costs nothing."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'rlvm' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
