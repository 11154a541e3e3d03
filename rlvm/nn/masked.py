"""Dense layers of autoregressive networks: a unit sees only the units before it."""

import zlib
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from rlvm.types import Array


class AutoregressiveKernel(nn.Module):
    """The strictly triangular weights W of eq. 2: unit j is fed by h_i W[i, j] for i < j only."""

    units: int

    @nn.compact
    def __call__(self) -> Array:
        """The kernel [units, units], zero on and below the diagonal; it starts at zero."""
        kernel = self.param("kernel", nn.initializers.zeros, (self.units, self.units))
        return jnp.triu(kernel, 1)


class MLP(nn.Module):
    """Deterministic layers, `activation(U h)` each, of the given widths, input side first.

    With `dropout`, and where keys are given, each example loses that share of its units and the
    rest are scaled up; without keys (evaluation) all units stay.
    """

    widths: Sequence[int]
    activation: Callable[[Array], Array] = nn.tanh
    dropout: float = 0.0

    @nn.compact
    def __call__(self, features: Array, keys: Array | None = None) -> Array:
        """[..., B, F] -> [..., B, widths[-1]]; without widths the features themselves."""
        for layer, width in enumerate(self.widths):
            features = self.activation(nn.Dense(width)(features))
            if self.dropout and keys is not None:
                features = features * kept(keys, stream_of(self, layer), width, self.dropout)
        return features


def stream_of(module: nn.Module, layer: int = 0) -> int:
    """A number for the noise of one layer of a module, told apart by its place in the network."""
    return zlib.crc32("/".join((*module.path, str(layer))).encode())


def kept(keys: Array, stream: int, width: int, rate: float) -> Array:
    """A dropout mask for each key [B], scaled to mean one: [B, width]."""
    draw = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, stream), (width,)))
    return (draw(keys) >= rate) / (1.0 - rate)
