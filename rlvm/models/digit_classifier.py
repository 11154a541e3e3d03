"""A small convolutional classifier of digits, to ask which classes a model's samples fall into."""

import flax.linen as nn
import jax.numpy as jnp

from rlvm.nn.convolution import Convolution
from rlvm.types import Array

SIDE, NUM_CLASSES = 28, 10


class DigitClassifier(nn.Module):
    """Binary images [B, 28, 28] (or flat, or by rows) -> logits [B, 10]."""

    features: tuple[int, ...] = (16, 32)
    units: int = 128

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Convolutions of 3x3 with pooling between them, then two dense layers."""
        h = jnp.reshape(x, (-1, SIDE, SIDE, 1))
        for features in self.features:
            h = nn.relu(Convolution(features, (3, 3), use_bias=True)(h))
            h = halved(h)
        h = nn.relu(nn.Dense(self.units)(h.reshape(len(h), -1)))
        return nn.Dense(NUM_CLASSES)(h)


def halved(h: Array) -> Array:
    """The maximum of every 2x2 pixels [B, H, W, C]; its gradient is quicker than a pooling's."""
    size, height, width, features = h.shape
    return h.reshape(size, height // 2, 2, width // 2, 2, features).max(axis=(2, 4))
