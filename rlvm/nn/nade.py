"""The shared weights of NADE (Larochelle and Murray 2011): one hidden layer, grown unit by unit."""

import flax.linen as nn
import jax.numpy as jnp

from rlvm.types import Array


class NadeWeights(nn.Module):
    """Kernel W and readout V of sigmoid hidden units a = c + sum_{k<i} x_k W[k], b_i + V[i] s(a).

    With `masked` each unit that is known also adds a row of its own, so that the hidden units can
    tell a zero from a unit not yet seen, which any ordering needs. V starts at zero.
    """

    units: int
    hidden: int
    masked: bool = False

    @nn.compact
    def __call__(self) -> tuple[Array, Array, Array | None]:
        """W, V and the rows of known units (None unless `masked`): [units, hidden] each."""
        shape = (self.units, self.hidden)
        kernel = self.param("kernel", nn.initializers.normal(0.1), shape)
        readout = self.param("readout", nn.initializers.zeros, shape)
        known = self.param("known", nn.initializers.normal(0.1), shape) if self.masked else None
        return kernel, readout, known


def unit_logits(
    value: Array, hidden: Array, kernel: Array, readout: Array, known: Array | None
) -> Array:
    """V[i] . s(hidden + sum_{k<i} value_k W[k] + known[k]) for a block of units: [..., K].

    `value` is [..., K], the arrays of weights [K, H]; `hidden` [..., H] is that before the block.
    """
    steps = value[..., None] * kernel  # [..., K, H]
    if known is not None:
        steps = steps + known
    before = hidden[..., None, :] + jnp.cumsum(steps, axis=-2) - steps
    return jnp.sum(nn.sigmoid(before) * readout, axis=-1)
