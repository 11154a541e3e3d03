"""Ragged sequences in a few groups of similar length, so that little time goes into padding."""

import jax
import jax.numpy as jnp
import numpy as np

from rlvm.data.shuffle import permute
from rlvm.types import Array


def longest(lengths: np.ndarray, num_buckets: int, smallest: int) -> tuple[int, ...]:
    """The longest length of each bucket, ascending: at most `num_buckets`, with the least padding.

    Every bucket has at least `smallest` sequences. Minimises sum_b (number in b) (longest of b) by
    dynamic programming over the lengths that occur.
    """
    values, counts = np.unique(lengths, return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)])  # sequences shorter than values[k]
    # cost[k]: (steps with padding, ends) of the best buckets of the k shortest lengths
    cost: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    cost += [(np.inf, ())] * len(values)
    best = cost[-1]
    for _ in range(num_buckets):
        previous, cost = cost, [(np.inf, ())] * (len(values) + 1)
        for end in range(1, len(values) + 1):
            for start in range(end):
                size = below[end] - below[start]
                if size >= smallest:
                    steps, ends = previous[start]
                    made = (steps + float(size * values[end - 1]), (*ends, int(values[end - 1])))
                    cost[end] = min(cost[end], made)
        best = min(best, cost[-1])
    return best[1]


class Buckets:
    """Which rows make up a batch when every batch comes from one bucket.

    An epoch has the whole batches of every bucket, in an order of its own; what is left over of a
    bucket's own order sits this epoch out.
    """

    def __init__(self, lengths: np.ndarray, num_buckets: int, batch_size: int):
        self.longest = longest(lengths, num_buckets, batch_size)
        bucket = np.searchsorted(self.longest, lengths)
        self.order = np.argsort(bucket, kind="stable")  # the rows, bucket after bucket
        self.sizes = np.bincount(bucket)
        self.batch_size = batch_size
        self.batches_per_epoch = int(np.sum(self.sizes // batch_size))

    def rows(self, key: Array, step: Array, positions: Array) -> Array:
        """The sorted rows at `positions` of batch `step`; `key` decides every epoch's order."""
        epoch, within = jnp.divmod(step, self.batches_per_epoch)
        epoch_key = jax.random.fold_in(key, epoch)
        batch = permute(epoch_key, within, self.batches_per_epoch)
        batches = self.sizes // self.batch_size
        firsts, offsets = np.cumsum(batches) - batches, np.cumsum(self.sizes) - self.sizes
        chosen = jnp.sum(batch >= jnp.asarray(firsts)) - 1
        candidates = []
        for b, size in enumerate(self.sizes):
            place = (batch - firsts[b]) * self.batch_size + positions
            place = jnp.clip(place, 0, size - 1)  # of the other buckets any row will do
            own = jax.random.fold_in(epoch_key, b)
            candidates.append(offsets[b] + permute(own, place, int(size)))
        return jnp.stack(candidates)[chosen]
