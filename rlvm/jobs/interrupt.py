"""Leaving a run cleanly on SIGTERM, Ctrl-C or a cluster's preemption notice."""

import contextlib
import itertools
import signal
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils


@contextlib.contextmanager
def requested() -> Iterator[Callable[[int], bool]]:
    """Yields `stop(step)`: whether the run should save and leave after this step.

    In a run of several processes JAX's preemption sync point makes all of them leave at the same
    step; there the runtime itself catches SIGTERM. It wants to be asked by consecutive numbers.
    """
    if jax.process_count() > 1:
        calls = itertools.count()
        yield lambda step: multihost_utils.reached_preemption_sync_point(next(calls))
        return
    seen: list[int] = []
    signals = (signal.SIGTERM, signal.SIGINT)
    try:
        previous = [
            signal.signal(number, lambda number, _: seen.append(number)) for number in signals
        ]
    except ValueError:  # not in the main thread, as in some notebooks: leave signals alone
        yield lambda step: False
        return
    try:
        yield lambda step: bool(seen)
    finally:
        for number, handler in zip(signals, previous, strict=True):
            signal.signal(number, handler)
