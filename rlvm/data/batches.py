"""Which rows of a split make up each training batch."""

from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from rlvm.data.shuffle import permute
from rlvm.types import Array


class Batches(Protocol):
    """What batch `step` holds, told from a key and without history."""

    @property
    def order(self) -> np.ndarray | slice:
        """How the split's rows are sorted before `rows` counts them."""

    @property
    def longest(self) -> tuple[int, ...]:
        """The lengths that sequences are cut to, where there are buckets."""

    def rows(self, key: Array, step: Array, positions: Array) -> Array:
        """The sorted rows at `positions` of batch `step`; `key` decides every epoch's order."""


class WholeEpochs:
    """Every row once an epoch, in an order of its own; less than a batch sits the epoch out."""

    order = slice(None)
    longest = ()

    def __init__(self, size: int, batch_size: int):
        self.size, self.batch_size = size, batch_size

    def rows(self, key: Array, step: Array, positions: Array) -> Array:
        """The rows at `positions` of batch `step`."""
        epoch, within = jnp.divmod(step, self.size // self.batch_size)
        own = jax.random.fold_in(key, epoch)
        return permute(own, within * self.batch_size + positions, self.size)
