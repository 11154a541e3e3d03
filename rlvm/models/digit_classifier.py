"""A small convolutional classifier of digits, to ask which classes a model's samples fall into."""

import flax.linen as nn
import jax.numpy as jnp

from rlvm.nn.convolution import Convolution
from rlvm.types import Array

SIDE, NUM_CLASSES = 28, 10

Layer = tuple[int, int, int]  # features, side of the filter, stride


class DigitClassifier(nn.Module):
    """Binary images [B, 28, 28] (or flat, or by rows) -> logits [B, 10].

    Strides instead of pooling: three quarters of the places are never computed.
    """

    layers: tuple[Layer, ...] = ((32, 5, 2), (64, 3, 2), (64, 3, 1))
    units: int = 128

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Convolutions, then two dense layers."""
        h = jnp.reshape(x, (-1, SIDE, SIDE, 1))
        for features, side, stride in self.layers:
            convolution = Convolution(features, (side, side), (stride, stride), use_bias=True)
            h = nn.relu(convolution(h))
        h = nn.relu(nn.Dense(self.units)(h.reshape(len(h), -1)))
        return nn.Dense(NUM_CLASSES)(h)
