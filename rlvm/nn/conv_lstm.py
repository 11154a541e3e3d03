"""LSTM and ConvLSTM cells with every input's projection normalised on its own (appendix A.4)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from rlvm.nn.normalization import normalization
from rlvm.nn.pyramid import Down
from rlvm.types import Array

# What comes from the last iteration starts small: normalised to unit variance, the loop through
# the levels would multiply a gradient by more than 1 at every step.
GAINS = {"below": 1.0, "level": 0.1}

State = tuple[Array, Array]  # (c, s): memory and output, each [B, ..., F]


def lstm_update(gates: Array, c: Array) -> State:
    """i, f, g, o = gates; c' = sigmoid(f + 1) c + sigmoid(i) tanh(g); s' = sigmoid(o) tanh(c')."""
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    c = jax.nn.sigmoid(f + 1.0) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return c, jax.nn.sigmoid(o) * jnp.tanh(c)


class ConvLSTM(nn.Module):
    """gates = sum_k Norm(W_k * input_k) + b over inputs from below (strided) and on the level.

    The level's inputs are its decoder's last output, where connected, and the cell's own s(t-1).
    """

    features: int
    filter_size: tuple[int, ...]
    stride: int = 1
    norm: str = "layer"
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        state: State,
        below: Sequence[Array],
        level: Sequence[Array] = (),
        examples: Array | None = None,
    ) -> State:
        """state ([B, H', W', F], same), below [B, H, W, C] each, level [B, H', W', C'] each."""
        c, s = state
        gates = self.param("b", nn.initializers.zeros, (4 * self.features,))
        for kind, stride, inputs in (("below", self.stride, below), ("level", 1, (*level, s))):
            for k, x in enumerate(inputs):
                conv = Down(4 * self.features, self.filter_size, stride, name=f"W_{kind}_{k}")
                norm = normalization(self.norm, self.axis_name, f"norm_{kind}_{k}", GAINS[kind])
                gates += norm(conv(x), examples)
        return lstm_update(gates, c)


class LSTM(nn.Module):
    """gates = sum_k Norm(W_k input_k) + b, fully connected: maps from below are flattened."""

    features: int
    norm: str = "layer"
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        state: State,
        below: Sequence[Array],
        level: Sequence[Array] = (),
        examples: Array | None = None,
    ) -> State:
        """state ([B, F], [B, F]), below [B, ...] each, level [B, C'] each -> state."""
        c, s = state
        gates = self.param("b", nn.initializers.zeros, (4 * self.features,))
        for kind, inputs in (("below", below), ("level", (*level, s))):
            for k, x in enumerate(inputs):
                dense = nn.Dense(4 * self.features, use_bias=False, name=f"W_{kind}_{k}")
                norm = normalization(self.norm, self.axis_name, f"norm_{kind}_{k}", GAINS[kind])
                gates += norm(dense(x.reshape(len(x), -1)), examples)
        return lstm_update(gates, c)
