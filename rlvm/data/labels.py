"""Batches of a split of which few examples have labels: a fixed number of each are labelled."""

import jax
import jax.numpy as jnp
import numpy as np

from rlvm.data.shuffle import permute
from rlvm.types import Array


class FewLabels:
    """Which rows make up a batch whose first `labelled` examples have labels, the others not.

    Both parts have epochs of their own: a labelled example is seen again after all the others.
    """

    longest = ()

    def __init__(self, labels: np.ndarray, labelled: int, batch_size: int):
        self.order = np.argsort(labels < 0, kind="stable")  # the rows, the labelled ones first
        known = int(np.sum(labels >= 0))
        self.sizes = (known, len(labels) - known)
        self.counts = (labelled, batch_size - labelled)
        for size, count, kind in zip(self.sizes, self.counts, ("", "un"), strict=True):
            if not 0 < count <= size:
                raise ValueError(
                    f"train.labelled_per_batch is {labelled} of {batch_size}: {count} "
                    f"{kind}labelled examples a batch, of {size} in train; expected 1 to {size}."
                )

    def rows(self, key: Array, step: Array, positions: Array) -> Array:
        """The sorted rows at `positions` of batch `step`; `key` decides every epoch's order."""
        labelled = self._part(0, key, step, positions)
        others = self._part(1, key, step, positions - self.counts[0])
        return jnp.where(positions < self.counts[0], labelled, self.sizes[0] + others)

    def _part(self, part: int, key: Array, step: Array, positions: Array) -> Array:
        """Rows of one part, counted from its first; of the other part's positions any row."""
        size, count = self.sizes[part], self.counts[part]
        epoch, within = jnp.divmod(step, size // count)
        own = jax.random.fold_in(jax.random.fold_in(key, part), epoch)
        return permute(own, within * count + jnp.clip(positions, 0, count - 1), size)
