"""The contract every room of rlvm is written against: batches, distributions, three kinds of model.

A *batch* is a dict of arrays with a leading batch axis: ``x`` (observed) and ``mask`` ([B], 1.0 for
a real example and 0.0 for padding) always; ``u`` (controls), ``lengths`` and ``y`` (labels) where
the data has them. Noise belongs to the example: ``rng`` is an array of typed keys whose trailing
axis is the batch axis, so ``rng`` of shape [B] draws one sample per example and [S, B] draws S.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax

Array = jax.Array
Batch = Mapping[str, Array]
Terms = dict[str, Array]
PyTree = Any

# surrogate(logits, uniforms) -> binary units with a gradient rule of its own (inference/estimators)
Surrogate = Callable[[Array, Array], Array]

# objective(params, extra, batch, rng) -> (loss, (extra, terms)); terms are [B], in nats
Objective = Callable[[PyTree, PyTree, Batch, Array], tuple[Array, tuple[PyTree, Terms]]]


@runtime_checkable
class Distribution(Protocol):
    """A distribution in distrax's manner whose noise is one key per example."""

    def log_prob(self, value: PyTree) -> Array:
        """Log density of `value` in nats, event axes summed: [..., B]."""
        ...

    def sample(self, rng: Array) -> PyTree:
        """One exact draw per key of `rng`, whose shape [..., B] becomes the batch shape."""
        ...


@runtime_checkable
class Posterior(Protocol):
    """An inference distribution q(z|x) that can be sampled with a gradient."""

    def sample_with(self, surrogate: Surrogate, rng: Array) -> tuple[PyTree, Array]:
        """Draw z through `surrogate` and return (z, log q(z)) at that same z."""
        ...


@runtime_checkable
class LatentVariable(Protocol):
    """A latent-variable model is three distributions: p(z), q(z|x), p(x|z)."""

    def prior(self, batch: Batch) -> Distribution:
        """p(z), given the controls of `batch` where there are any."""
        ...

    def posterior(self, batch: Batch) -> Posterior:
        """q(z | x)."""
        ...

    def likelihood(self, z: PyTree, batch: Batch) -> Distribution:
        """p(x | z); leading sample axes of z broadcast against the batch."""
        ...


@runtime_checkable
class Density(Protocol):
    """A model whose log p(x) is computed directly (FVSBN, NADE, mixtures)."""

    def log_prob(self, batch: Batch) -> Array:
        """Log p(x) in nats: [B]."""
        ...

    def sample(self, rng: Array) -> Array:
        """Exact draws of x, one per key of `rng`."""
        ...


@runtime_checkable
class Predictor(Protocol):
    """A network unrolled over iterations or frames (Recurrent Ladder, RTagger)."""

    def initial_carry(self, rng: Array, batch: Batch) -> PyTree:
        """The carry before the first iteration or frame, one key an example."""
        ...

    def __call__(self, carry: PyTree, batch: Batch) -> tuple[PyTree, PyTree]:
        """(carry, batch) -> (carry, outputs); outputs hold distributions and logits."""
        ...
