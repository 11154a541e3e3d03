"""DARN with locally connected stochastic layers below a fully connected one (figs. 3 and 5).

Each layer below the top is a map of binary units: in the encoder it sees a window of the map below
through periodic weights, in the decoder its window of the map above; the top sees and feeds all of
the map below it and is autoregressive. Images are binary [B, H, W].
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.models.autoregressive import AutoregressiveBernoulli, Hierarchy, split_layers
from rlvm.models.tiled_darn import TiledBernoulli
from rlvm.nn.average import Background, Centered
from rlvm.nn.masked import AutoregressiveKernel
from rlvm.nn.tiled import TiledExpansion, TiledLayer, reduced
from rlvm.types import Array, Batch


class LocalDARN(nn.Module):
    """q(h|x), p(h) and p(x|h) with local layers `(size, stride, features)` and `top_units`."""

    image: tuple[int, int]
    layers: tuple[tuple[int, int, int], ...]
    top_units: int
    period: int
    visible_size: int
    visible_period: int

    def layer_shapes(self) -> list[tuple[int, int, int]]:
        """Rows, columns and features of the stochastic layers, bottom to top."""
        shapes = [(*self.image, 1)]
        for size, stride, features in self.layers:
            rows, columns = (reduced(n, size, stride) for n in shapes[-1][:2])
            shapes.append((rows, columns, features))
        return [*shapes[1:], (1, 1, self.top_units)]

    @property
    def stochastic_units(self) -> tuple[int, ...]:
        """Units of each stochastic layer, bottom to top."""
        return tuple(math.prod(shape) for shape in self.layer_shapes())

    def setup(self):
        """A layer up and one down for each arrow, the top's prior, and the pixels' kernel."""
        maps = [(*self.image, 1), *self.layer_shapes()[:-1]]
        self.encode = [TiledLayer(f, size, stride, self.period) for size, stride, f in self.layers]
        self.decode = [
            TiledExpansion(below[2], size, stride, self.period, below[:2])
            for below, (size, stride, _) in zip(maps, self.layers, strict=False)
        ]
        self.to_top = nn.Dense(self.top_units)
        self.from_top = nn.Dense(math.prod(maps[-1]))
        self.top_bias = self.param("top_bias", nn.initializers.zeros, (self.top_units,))
        self.top_kernel = AutoregressiveKernel(self.top_units)
        self.centered, self.background = Centered(), Background(self.image)
        shape = (self.visible_size**2 // 2, self.visible_period, self.visible_period)
        self.visible_kernel = self.param("visible_kernel", nn.initializers.zeros, shape)

    def __call__(self, batch: Batch) -> Array:
        """Log joint at h = 0, which touches every parameter: the entry for `init`."""
        h = jnp.zeros((batch["x"].shape[0], sum(self.stochastic_units)))
        log_joint = self.prior(batch).log_prob(h) + self.likelihood(h, batch).log_prob(batch["x"])
        return log_joint - self.posterior(batch).log_prob(h)

    def prior(self, batch: Batch) -> Hierarchy:
        """p(h), drawn from the top layer down."""
        del batch
        top = len(self.layers)

        def conditional(k, drawn):
            if k == top:
                return AutoregressiveBernoulli(self.top_bias, self.top_kernel())
            if k == top - 1:
                return AutoregressiveBernoulli(self.from_top(drawn[top]))
            return AutoregressiveBernoulli(self._apply(self.decode[k + 1], drawn[k + 1], k + 1))

        return Hierarchy(self.stochastic_units, tuple(range(top, -1, -1)), conditional)

    def posterior(self, batch: Batch) -> Hierarchy:
        """q(h|x), drawn from the bottom layer up."""
        top = len(self.layers)

        def conditional(k, drawn):
            if k == 0:
                logits = self.encode[0](self.centered(batch["x"])[..., None])
                return AutoregressiveBernoulli(logits.reshape(len(batch["x"]), -1))
            if k == top:
                return AutoregressiveBernoulli(self.to_top(drawn[top - 1]))
            return AutoregressiveBernoulli(self._apply(self.encode[k], drawn[k - 1], k - 1))

        return Hierarchy(self.stochastic_units, tuple(range(top + 1)), conditional)

    def likelihood(self, z: Array, batch: Batch) -> TiledBernoulli:
        """p(x|h); the background, a bias for each pixel, is learned once for all images."""
        lowest = split_layers(z, self.stochastic_units)[0]
        logits = self._apply(self.decode[0], lowest, 0).reshape(*z.shape[:-1], *self.image)
        return TiledBernoulli(logits + self.background(batch.get("x")), self.visible_kernel)

    def _apply(self, layer: nn.Module, units: Array, k: int) -> Array:
        """A tiled layer on the flat units [..., n] of stochastic layer k: [..., m]."""
        out = layer(units.reshape(-1, *self.layer_shapes()[k]))
        return out.reshape(*units.shape[:-1], -1)


def build(config: ConfigDict, batch: Batch) -> LocalDARN:
    """The network for batches of images [B, H, W]."""
    return LocalDARN(
        image=(batch["x"].shape[1], batch["x"].shape[2]),
        layers=tuple(tuple(layer) for layer in config.layers),
        top_units=config.top_units,
        period=config.period,
        visible_size=config.visible_size,
        visible_period=config.visible_period,
    )
