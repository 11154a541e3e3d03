"""Dense layers of autoregressive networks: a unit sees only the units before it."""

from collections.abc import Callable, Sequence

import flax.linen as nn
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
    """Deterministic layers, `activation(U h)` each, of the given widths, input side first."""

    widths: Sequence[int]
    activation: Callable[[Array], Array] = nn.tanh

    @nn.compact
    def __call__(self, features: Array) -> Array:
        """[..., F] -> [..., widths[-1]]; without widths the features themselves."""
        for width in self.widths:
            features = self.activation(nn.Dense(width)(features))
        return features
