"""Deep AutoRegressive Networks: binary latents between an encoder and an autoregressive decoder."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.models.autoregressive import AutoregressiveBernoulli, Hierarchy, split_layers
from rlvm.nn.masked import MLP, AutoregressiveKernel
from rlvm.types import Array, Batch


class Conditional(nn.Module):
    """Bernoulli units given features: tanh layers, a linear map, and a triangular kernel."""

    units: int
    widths: Sequence[int]
    autoregressive: bool

    @nn.compact
    def __call__(self, features: Array | None) -> AutoregressiveBernoulli:
        """p(units | features [..., F]); without features the logits are a bias alone."""
        kernel = AutoregressiveKernel(self.units)() if self.autoregressive else None
        if features is None:
            return AutoregressiveBernoulli(
                self.param("bias", nn.initializers.zeros, (self.units,)), kernel
            )
        return AutoregressiveBernoulli(nn.Dense(self.units)(MLP(self.widths)(features)), kernel)


class DARN(nn.Module):
    """Encoder q(h|x), autoregressive prior p(h) and decoder p(x|h) (eqs. 1-6).

    Layers count bottom to top. `widths[k]` are the tanh layers between stochastic layer k and the
    layer below it (the visibles for k = 0), seen bottom to top; the decoder mirrors them. With
    `skip`, a conditional is fed by all layers drawn before it rather than by the nearest.
    """

    data_dim: int
    stochastic_units: tuple[int, ...]
    widths: tuple[tuple[int, ...], ...]
    autoregressive_encoder: bool = False
    autoregressive_visibles: bool = True
    skip: bool = False

    def setup(self):
        """Build one conditional for each arrow of the model."""
        units, depth = self.stochastic_units, len(self.stochastic_units)
        self.encoders = [
            Conditional(units[k], self.widths[k], self.autoregressive_encoder) for k in range(depth)
        ]
        above = [*[self.widths[k + 1][::-1] for k in range(depth - 1)], ()]
        self.priors = [Conditional(units[k], above[k], True) for k in range(depth)]
        self.visibles = Conditional(
            self.data_dim, self.widths[0][::-1], self.autoregressive_visibles
        )

    def __call__(self, batch: Batch) -> Array:
        """Log joint at h = 0, which touches every parameter: the entry for `init`."""
        h = jnp.zeros((*batch["x"].shape[:-1], sum(self.stochastic_units)))
        log_q = self.posterior(batch).log_prob(h)
        log_joint = self.prior(batch).log_prob(h) + self.likelihood(h, batch).log_prob(batch["x"])
        return log_joint - log_q

    def prior(self, batch: Batch) -> Hierarchy:
        """p(h), drawn from the top layer down."""
        top = len(self.stochastic_units) - 1

        def conditional(k, drawn):
            above = [drawn[j] for j in range(k + 1, top + 1)]
            return self.priors[k](self._features(above) if above else None)

        return Hierarchy(self.stochastic_units, tuple(range(top, -1, -1)), conditional)

    def posterior(self, batch: Batch) -> Hierarchy:
        """q(h|x), drawn from the bottom layer up."""

        def conditional(k, drawn):
            below = [drawn[j] for j in range(k - 1, -1, -1)]
            return self.encoders[k](self._features([*below, batch["x"]]))

        depth = len(self.stochastic_units)
        return Hierarchy(self.stochastic_units, tuple(range(depth)), conditional)

    def likelihood(self, z: Array, batch: Batch) -> AutoregressiveBernoulli:
        """p(x|h)."""
        return self.visibles(self._features(split_layers(z, self.stochastic_units)))

    def _features(self, nearest_first: list[Array]) -> Array:
        """What feeds a conditional: the nearest layer, or with `skip` all of them."""
        if not self.skip or len(nearest_first) == 1:
            return nearest_first[0]
        lead = jnp.broadcast_shapes(*[layer.shape[:-1] for layer in nearest_first])
        parts = [jnp.broadcast_to(layer, (*lead, layer.shape[-1])) for layer in nearest_first]
        return jnp.concatenate(parts, axis=-1)


def build(config: ConfigDict, batch: Batch) -> DARN:
    """The network that `config.model` describes for batches shaped like `batch`."""
    units = tuple(config.stochastic_units)
    return DARN(
        data_dim=batch["x"].shape[-1],
        stochastic_units=units,
        widths=tanh_widths(units, tuple(config.deterministic_units)),
        autoregressive_encoder=config.autoregressive_encoder,
        autoregressive_visibles=config.autoregressive_visibles,
        skip=config.skip,
    )


def tanh_widths(stochastic: tuple[int, ...], deterministic: tuple) -> tuple[tuple[int, ...], ...]:
    """Tanh widths below each stochastic layer.

    With one stochastic layer all of `deterministic` lie between it and the visibles; with several
    there is one entry for each, an int or a tuple of ints.
    """
    if len(stochastic) == 1 and all(isinstance(width, int) for width in deterministic):
        return (deterministic,)
    if len(deterministic) != len(stochastic):
        raise ValueError(
            f"model.deterministic_units has {len(deterministic)} entries for {len(stochastic)} "
            "stochastic layers; expected one entry (an int or a tuple) for each."
        )
    return tuple((w,) if isinstance(w, int) else tuple(w) for w in deterministic)
