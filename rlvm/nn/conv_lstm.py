"""LSTM and ConvLSTM cells with every input's projection normalised on its own (appendix A.4)."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from rlvm.nn.normalization import normalization
from rlvm.nn.pyramid import Down
from rlvm.nn.sums import spread
from rlvm.types import Array

# What comes from the last iteration starts small: normalised to unit variance, the loop through
# the levels would multiply a gradient by more than 1 at every step.
GAINS = {"below": 1.0, "level": 0.1}

State = tuple[Array, Array]  # (c, s): memory and output, each [B, ..., F]


def lstm_update(total: Array, c: Array) -> State:
    """i, f, g, o = total; c' = sigmoid(f + 1) c + sigmoid(i) tanh(g); s' = sigmoid(o) tanh(c')."""
    i, f, g, o = jnp.split(total, 4, axis=-1)
    c = jax.nn.sigmoid(f + 1.0) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return c, jax.nn.sigmoid(o) * jnp.tanh(c)


def gates(cell: nn.Module, project: Callable, below, level, examples) -> Array:
    """b + sum_k Norm(W_k input_k) over inputs from below and on the level: [B, ..., 4 F].

    `project(name, x, kind)` is W_k input_k; each sum's parameters belong to `cell`.
    """
    b = cell.param("b", nn.initializers.zeros, (4 * cell.features,))
    total = jnp.zeros(())
    for kind, inputs in (("below", below), ("level", level)):
        for k, x in enumerate(inputs):
            norm = normalization(cell.norm, cell.axis_name, f"norm_{kind}_{k}", GAINS[kind])
            total += norm(project(f"W_{kind}_{k}", x, kind), examples)
    return total + spread(b, total.shape)


class ConvLSTM(nn.Module):
    """An LSTM of maps, W_k a convolution: with stride from below, without it on the level.

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

        def project(name: str, x: Array, kind: str) -> Array:
            stride = self.stride if kind == "below" else 1
            return Down(4 * self.features, self.filter_size, stride, name=name)(x)

        c, s = state
        return lstm_update(gates(self, project, below, (*level, s), examples), c)


class LSTM(nn.Module):
    """The same, fully connected: maps from below are flattened."""

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

        def project(name: str, x: Array, kind: str) -> Array:
            del kind
            dense = nn.Dense(4 * self.features, use_bias=False, name=name)
            return dense(x.reshape(len(x), -1))

        c, s = state
        return lstm_update(gates(self, project, below, (*level, s), examples), c)
