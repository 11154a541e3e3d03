"""From a prepared split to batches inside the compiled step.

A source has two halves. `inputs(start, count)` is what the host hands to a dispatch of steps
start .. start + count - 1; `batch(inputs, step, positions, noise)` picks, inside the compiled
step, the rows at `positions` of the global batch. Which rows these are follows from (seed, step)
alone, so any number of devices or processes and any resumption see the same batches. The devices
together hold the batch in the order of `positions()`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rlvm.data.batches import Batches, WholeEpochs
from rlvm.data.buckets import Buckets
from rlvm.data.dataset import Dataset
from rlvm.data.labels import FewLabels
from rlvm.types import Array, Batch, PyTree

DEVICE_BYTES = 2**30  # splits below this live on every device
NO_POSITION = 2**32 - 1  # folded into a step's key where a position would be


def decode(rows: Mapping[str, Any], kind: str, binarize: bool, noise: Array | None) -> dict:
    """Stored rows as model input: `x` float32, grey in [0, 1] or drawn from it per example."""
    x = jnp.asarray(rows["x"], jnp.float32) / stored_one(kind, binarize)
    if binarize:
        uniform = jax.vmap(lambda key: jax.random.uniform(key, x.shape[1:]))(noise)
        x = (uniform < x).astype(jnp.float32)
    return {**rows, "x": x}


def stored_one(kind: str, binarize: bool) -> float:
    """The stored value that stands for 1: grey levels are kept as 0..255."""
    return 255.0 if binarize or kind == "grey" else 1.0


def example_keys(key: Array, positions: Array) -> Array:
    """One key for each position of the global batch: [B]."""
    return jax.vmap(lambda position: jax.random.fold_in(key, position))(positions)


def data_keys(key: Array, positions: Array) -> Array:
    """Keys for drawing x, apart from the `example_keys` of the same step that draw z: [B]."""
    return example_keys(jax.random.fold_in(key, NO_POSITION), positions)


@dataclasses.dataclass(frozen=True)
class Decoder:
    """How a data set's stored rows become a batch."""

    kind: str
    binarize: bool

    def __call__(self, rows: Mapping[str, Any], noise: Array | None) -> Batch:
        """Add `mask` and turn `x` into what the model reads."""
        mask = jnp.ones(rows["x"].shape[0])
        return {"mask": mask, **decode(rows, self.kind, self.binarize, noise)}


class DeviceSource:
    """A split that fits on every device as stored; each device gathers its own rows."""

    streamed = False  # whether inputs are the rows themselves, and a device holds its own alone

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        batch_size: int,
        seed: int,
        decoder: Decoder,
        batches: Batches | None = None,
    ):
        self.size, self.decoder = len(arrays["x"]), decoder
        self.batch_size = batch_size
        self._key = jax.random.fold_in(jax.random.key(seed), 1)
        self._batches = batches or WholeEpochs(self.size, batch_size)
        order = self._batches.order
        self._arrays = {name: np.asarray(array)[order] for name, array in arrays.items()}

    @property
    def longest(self) -> tuple[int, ...]:
        """The lengths that sequences are cut to, where there are buckets."""
        return self._batches.longest

    def positions(self) -> Array:
        """The positions of the global batch in the devices' order: [B]."""
        return jnp.arange(self.batch_size)

    def inputs(self, start: int, count: int) -> PyTree:
        """The whole split, the same object every time."""
        del start, count
        return self._arrays

    def batch(self, inputs: PyTree, start: Array, step: Array, positions: Array, key: Array):
        """Rows `positions` of batch `step`; every epoch has its own order."""
        del start
        index = self._batches.rows(self._key, step, positions)
        rows = jax.tree.map(lambda array: jnp.take(array, index, axis=0), inputs)
        return self.decoder(rows, data_keys(key, positions))


class StreamSource:
    """A split too large for a device: Grain shuffles and reads, a dispatch carries its rows.

    Of P processes, process p reads the rows p::P of each global batch and no others.
    """

    streamed = True
    longest: tuple[int, ...] = ()

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        batch_size: int,
        seed: int,
        decoder: Decoder,
        steps_per_dispatch: int,
        process: int = 0,
        num_processes: int = 1,
    ):
        import grain.python as grain

        self.size, self.decoder = len(arrays["x"]), decoder
        self.batch_size, self.steps = batch_size, steps_per_dispatch
        self.process, self.num_processes = process, num_processes
        self._arrays = arrays
        self._order = grain.MapDataset.range(self.size).seed(seed).shuffle().repeat(None)

    def positions(self) -> Array:
        """The positions of the global batch in the devices' order, one process's after another's.

        p::P for p = 0, 1, ..., P - 1: [B].
        """
        return jnp.arange(self.batch_size).reshape(-1, self.num_processes).T.reshape(-1)

    def inputs(self, start: int, count: int) -> PyTree:
        """Rows [steps, B / P, ...] of the dispatch; steps beyond `count` hold any rows."""
        per_epoch = self.size // self.batch_size
        own = range(self.process, self.batch_size, self.num_processes)
        index = np.zeros((self.steps, len(own)), np.int64)
        for k in range(min(count, self.steps)):
            epoch, within = divmod(start + k, per_epoch)
            first = epoch * self.size + within * self.batch_size
            index[k] = [self._order[first + i] for i in own]
        return {name: np.asarray(array[index]) for name, array in self._arrays.items()}

    def batch(self, inputs: PyTree, start: Array, step: Array, positions: Array, key: Array):
        """The rows of the dispatch's batch `step - start`, which are those at `positions`."""
        rows = jax.tree.map(lambda array: array[step - start], inputs)
        return self.decoder(rows, data_keys(key, positions))


def made_up(
    arrays: Mapping[str, np.ndarray], batch_size: int, num_buckets: int, labelled: int
) -> Batches | None:
    """How batches are made up, other than of every row in turn."""
    ragged = num_buckets > 1 and "lengths" in arrays
    if ragged and labelled:
        raise ValueError(
            f"train.labelled_per_batch={labelled} and train.num_buckets={num_buckets} both say "
            "which examples make up a batch; leave one of them out."
        )
    if ragged:
        return Buckets(np.asarray(arrays["lengths"]), num_buckets, batch_size)
    return FewLabels(np.asarray(arrays["y"]), labelled, batch_size) if labelled else None


def training_source(
    data: Dataset,
    batch_size: int,
    seed: int,
    steps_per_dispatch: int,
    limit: int = DEVICE_BYTES,
    num_buckets: int = 1,
    labelled: int = 0,
) -> DeviceSource | StreamSource:
    """The source for the train split: on device below `limit` bytes, else streamed by Grain.

    On device, sequences of several lengths come in up to `num_buckets` buckets, and `labelled`
    examples of each batch have labels (0: as many as come).
    """
    arrays = data.splits["train"]
    if batch_size > len(arrays["x"]):
        raise ValueError(
            f"train.batch_size is {batch_size}, but {data.name} has {len(arrays['x'])} training "
            f"rows; pass --config.train.batch_size={len(arrays['x'])} or less."
        )
    decoder = Decoder(data.kind, data.binarize)
    if sum(array.nbytes for array in arrays.values()) < limit:
        batches = made_up(arrays, batch_size, num_buckets, labelled)
        return DeviceSource(arrays, batch_size, seed, decoder, batches)
    if labelled:
        raise ValueError(
            f"train.labelled_per_batch needs a train split on device, below {limit} bytes; "
            f"{data.name} has more. Set it to 0."
        )
    process, number = jax.process_index(), jax.process_count()
    return StreamSource(arrays, batch_size, seed, decoder, steps_per_dispatch, process, number)


def evaluation_batches(arrays: Mapping[str, np.ndarray], batch_size: int, limit: int | None = None):
    """Batches of a split in order, all of one shape; the last is padded and masked.

    Yields (rows, mask [B], positions [B]): no example is dropped or counted twice.
    """
    size = len(arrays["x"]) if limit is None else min(limit, len(arrays["x"]))
    for start in range(0, size, batch_size):
        positions = np.arange(start, start + batch_size)
        mask = (positions < size).astype(np.float32)
        index = np.minimum(positions, size - 1)
        yield {name: np.asarray(array[index]) for name, array in arrays.items()}, mask, positions
