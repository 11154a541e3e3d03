"""The persistent compilation cache: a second start of the same program compiles nothing."""

import os

import jax

LEAST_SECONDS = 0.1  # a program that compiles faster is not kept


def enable() -> None:
    """Keep compiled programs in `$RLVM_CACHE`, or in the user's cache folder."""
    folder = os.environ.get("RLVM_CACHE") or os.path.expanduser("~/.cache/rlvm/xla")
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
