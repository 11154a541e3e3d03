"""Parameters that start at what the average example gives, before anything is learned.

An image whose pixels are mostly the same in every example says little, but all of it reaches a unit
that sees the image whole, and the units pay for whatever background the pixels do not know yet.
`init` takes the average from the mean of the batch it is given.
"""

import flax.linen as nn
import jax.numpy as jnp

from rlvm.types import Array

LEAST = 1e-3  # probability of a pixel that was never seen on


class Centered(nn.Module):
    """x minus a center, which starts at the average example: [B, ...] -> [B, ...]."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x less the center."""
        return x - self.param("center", lambda _: jnp.mean(x, axis=0))


class Background(nn.Module):
    """A bias for each binary pixel, which starts at the log odds of the average example."""

    image: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Array | None = None) -> Array:
        """The bias, of shape `image`; x [B, *image] is looked at by `init` alone."""

        def log_odds(_: Array) -> Array:
            mean = jnp.full(self.image, 0.5) if x is None else jnp.mean(x, axis=0)
            mean = jnp.clip(mean, LEAST, 1.0 - LEAST)
            return jnp.log(mean) - jnp.log1p(-mean)

        return self.param("bias", log_odds)
