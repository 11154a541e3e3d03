"""How fast a run goes, and a profiler's trace of it."""

import contextlib
import os
import time
from collections.abc import Iterator

import jax

WARM_UP = 1  # dispatches: the first compiles


class Watch:
    """Times the dispatches after the first; traces the second into a folder where one is given."""

    def __init__(self, trace: str | os.PathLike | None = None):
        self._trace, self._dispatches = trace, 0
        self._steps, self._seconds = 0, 0.0

    @contextlib.contextmanager
    def dispatch(self, count: int) -> Iterator[None]:
        """The body dispatches `count` steps."""
        trace: contextlib.AbstractContextManager = contextlib.nullcontext()
        if self._trace and self._dispatches == WARM_UP:
            trace = jax.profiler.trace(os.fspath(self._trace))
        with trace:
            began = time.perf_counter()
            yield
            seconds = time.perf_counter() - began
        self._dispatches += 1
        if self._dispatches > WARM_UP:
            self._steps, self._seconds = self._steps + count, self._seconds + seconds

    def rates(self, batch_size: int) -> dict[str, float]:
        """Step time and examples a second since the last call; none before the second dispatch."""
        steps, seconds = self._steps, self._seconds
        self._steps, self._seconds = 0, 0.0
        if not steps:
            return {}
        each = seconds / steps
        return {"seconds_per_step": each, "examples_per_second": batch_size / each}
