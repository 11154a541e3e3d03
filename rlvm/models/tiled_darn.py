"""DARN for large images: local layers with periodic weights, and a local autoregression of pixels.

Encoder: local layers with rectifiers, then a fully connected stochastic layer with an
autoregressive prior (sec. 5.3). The decoder mirrors the encoder. Images are binary [B, H, W].
"""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.models.autoregressive import AutoregressiveBernoulli, hard_threshold, uniforms
from rlvm.nn.average import Background, Centered
from rlvm.nn.masked import AutoregressiveKernel
from rlvm.nn.tiled import TiledExpansion, TiledLayer, banded_sum, reduced
from rlvm.types import Array, Batch, Surrogate


@flax.struct.dataclass
class TiledBernoulli:
    """Binary images; a pixel depends on those before it (in raster order) within a window.

    `logits` [..., H, W] hold bias and context; `kernel` [K, P, P] has one weight for each of the K
    causal offsets of an odd window and each position modulo the period P.
    """

    logits: Array
    kernel: Array

    @property
    def margin(self) -> int:
        """How far the window reaches to each side."""
        return (int((2 * len(self.kernel) + 1) ** 0.5) - 1) // 2

    def _padded(self, value: Array) -> Array:
        edge = (self.margin, self.margin)
        return jnp.pad(value, [*[(0, 0)] * (value.ndim - 2), edge, edge])

    def conditional_logits(self, value: Array) -> Array:
        """The logit of every pixel given the pixels before it: [..., H, W]."""
        shape, size = (value.shape[-2], value.shape[-1]), 2 * self.margin + 1
        rows = (self.margin + 1) * size  # the rest of the centre's row is not seen
        kernel = jnp.pad(self.kernel, [(0, rows - len(self.kernel)), (0, 0), (0, 0)])
        kernel = kernel.reshape(self.margin + 1, size, *self.kernel.shape[1:])
        seen = banded_sum(self._padded(value.reshape(-1, *shape)), kernel, shape)
        return self.logits + seen.reshape(value.shape)

    def log_prob(self, value: Array) -> Array:
        """log p(value) in nats: [...]."""
        logits = self.conditional_logits(value)
        return jnp.sum(value * logits - jax.nn.softplus(logits), axis=(-2, -1))

    def sample(self, rng: Array) -> Array:
        """One exact draw for each key of `rng`."""
        height, width = self.logits.shape[-2:]
        noise = uniforms(rng, height * width).reshape(*rng.shape, height, width)
        return self.sample_from(hard_threshold, noise)

    def sample_from(self, surrogate: Surrogate, noise: Array) -> Array:
        """The draw that uniforms `noise` [..., H, W] give, pixel by pixel."""
        height, width = noise.shape[-2:]
        logits = jnp.broadcast_to(self.logits, noise.shape)
        size, period = 2 * self.margin + 1, self.kernel.shape[1]
        window = jnp.zeros((size * size, period, period)).at[: len(self.kernel)].set(self.kernel)
        window = window.reshape(size, size, period, period)

        def draw(image, position):
            i, j = position // width, position % width
            near = jax.lax.dynamic_slice_in_dim(image, i, size, axis=-2)
            near = jax.lax.dynamic_slice_in_dim(near, j, size, axis=-1)
            seen = jnp.sum(near * window[:, :, i % period, j % period], axis=(-2, -1))
            value = surrogate(logits[..., i, j] + seen, noise[..., i, j])
            return image.at[..., i + self.margin, j + self.margin].set(value), None

        start = self._padded(jnp.zeros(noise.shape, logits.dtype))
        image, _ = jax.lax.scan(draw, start, jnp.arange(height * width))
        cut = slice(self.margin, self.margin + height), slice(self.margin, self.margin + width)
        return image[(..., *cut)]


class TiledDARN(nn.Module):
    """q(h|x), p(h) and p(x|h) with tiled layers `(size, stride)` of the same number of features."""

    image: tuple[int, int]
    stochastic_units: tuple[int, ...]
    layers: tuple[tuple[int, int], ...]
    features: int
    period: int
    visible_size: int
    visible_period: int

    def setup(self):
        """Encoder, prior, decoder, and the kernel between pixels."""
        shapes, (units,) = [self.image], self.stochastic_units
        for size, stride in self.layers:
            shapes.append(tuple(reduced(n, size, stride) for n in shapes[-1]))
        self.top = (*shapes[-1], self.features)
        self.encode = [TiledLayer(self.features, *layer, self.period) for layer in self.layers]
        self.to_units = nn.Dense(units)
        self.prior_bias = self.param("prior_bias", nn.initializers.zeros, (units,))
        self.prior_kernel = AutoregressiveKernel(units)
        self.from_units = nn.Dense(self.top[0] * self.top[1] * self.top[2])
        outputs = [1, *[self.features] * (len(self.layers) - 1)]
        self.decode = [
            TiledExpansion(outputs[k], *self.layers[k], self.period, shapes[k])
            for k in reversed(range(len(self.layers)))
        ]
        self.centered, self.background = Centered(), Background(self.image)
        shape = (self.visible_size**2 // 2, self.visible_period, self.visible_period)
        self.visible_kernel = self.param("visible_kernel", nn.initializers.zeros, shape)

    def __call__(self, batch: Batch) -> Array:
        """Log joint at h = 0, which touches every parameter: the entry for `init`."""
        h = jnp.zeros((batch["x"].shape[0], *self.stochastic_units))
        log_joint = self.prior(batch).log_prob(h) + self.likelihood(h, batch).log_prob(batch["x"])
        return log_joint - self.posterior(batch).log_prob(h)

    def prior(self, batch: Batch) -> AutoregressiveBernoulli:
        """p(h)."""
        return AutoregressiveBernoulli(self.prior_bias, self.prior_kernel())

    def posterior(self, batch: Batch) -> AutoregressiveBernoulli:
        """q(h|x), independent units."""
        features = self.centered(batch["x"])[..., None]
        for layer in self.encode:
            features = nn.relu(layer(features))
        return AutoregressiveBernoulli(self.to_units(features.reshape(len(batch["x"]), -1)))

    def likelihood(self, z: Array, batch: Batch) -> TiledBernoulli:
        """p(x|h); the background, a bias for each pixel, is learned once for all images."""
        features = nn.relu(self.from_units(z)).reshape(-1, *self.top)
        for k, layer in enumerate(self.decode):
            features = layer(features if k == 0 else nn.relu(features))
        logits = features.reshape(*z.shape[:-1], *self.image) + self.background(batch.get("x"))
        return TiledBernoulli(logits, self.visible_kernel)


def build(config: ConfigDict, batch: Batch) -> TiledDARN:
    """The network for batches of images [B, H, W]."""
    return TiledDARN(
        image=(batch["x"].shape[1], batch["x"].shape[2]),
        stochastic_units=tuple(config.stochastic_units),
        layers=tuple(tuple(layer) for layer in config.layers),
        features=config.features,
        period=config.period,
        visible_size=config.visible_size,
        visible_period=config.visible_period,
    )
