"""Search spaces: dotted config fields with their values, searched by grid or at random.

A sweep is a list of trials, each a dict of overrides; `promote` of them, the best by validation,
train on under the overrides `further` (fields that may change on a workdir: more steps).
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The trials, and what becomes of the best of them."""

    trials: Sequence[Mapping[str, Any]]
    promote: int = 0
    further: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A number drawn uniformly, or with `log` uniformly in its logarithm."""

    low: float
    high: float
    log: bool = False

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        if not self.log:
            return float(rng.uniform(self.low, self.high))
        return math.exp(rng.uniform(math.log(self.low), math.log(self.high)))


Space = Mapping[str, Uniform | Sequence[Any]]


def grid(space: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination, the last field changing fastest."""
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]


def random_search(space: Space, num_trials: int, seed: int = 0) -> list[dict[str, Any]]:
    """Independent draws; trial k is the same for any number of trials."""
    return [draw(space, np.random.default_rng((seed, k))) for k in range(num_trials)]


def draw(space: Space, rng: np.random.Generator) -> dict[str, Any]:
    """One value of every field: a `Uniform` draws, a sequence gives one of its members."""
    return {
        field: values.draw(rng)
        if isinstance(values, Uniform)
        else values[int(rng.integers(len(values)))]
        for field, values in space.items()
    }
