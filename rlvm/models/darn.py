"""Deep AutoRegressive Networks: binary latents between an encoder and an autoregressive decoder."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.models.autoregressive import AutoregressiveBernoulli, Hierarchy, split_layers
from rlvm.models.nade import NadeBernoulli, OrderingEnsemble, fixed_orders
from rlvm.nn.average import Background
from rlvm.nn.masked import MLP, AutoregressiveKernel, kept, stream_of
from rlvm.nn.nade import NadeWeights
from rlvm.types import Array, Batch

UnitsDistribution = AutoregressiveBernoulli | NadeBernoulli | OrderingEnsemble


class Conditional(nn.Module):
    """Bernoulli units given features: tanh layers, a linear map, and dependence between units.

    Autoregression is a triangular kernel, or with `nade_units` a NADE of so many hidden units,
    under `orderings` fixed orders of the units (EoNADE) or in their own.
    """

    units: int
    widths: Sequence[int]
    autoregressive: bool
    nade_units: int = 0
    orderings: int = 0
    dropout: float = 0.0
    input_dropout: float = 0.0

    @nn.compact
    def __call__(self, features: Array | None, keys: Array | None = None) -> UnitsDistribution:
        """p(units | features [..., F]); without features the logits are a bias alone.

        `keys` [B] are the noise of dropout, which evaluation leaves out.
        """
        kernel = None
        if self.autoregressive and not self.nade_units:
            kernel = AutoregressiveKernel(self.units)()
        if features is None:
            logits = self.param("bias", nn.initializers.zeros, (self.units,))
        else:
            features = MLP(self.widths, dropout=self.dropout)(features, keys)
            logits = nn.Dense(self.units)(features)
        if self.autoregressive and self.nade_units:
            return self._nade(logits, features)
        seen = None
        if self.input_dropout and keys is not None:
            seen = kept(keys, stream_of(self), self.units, self.input_dropout)
        return AutoregressiveBernoulli(logits, kernel, seen)

    def _nade(self, logits: Array, features: Array | None) -> NadeBernoulli | OrderingEnsemble:
        """The units given each other through hidden units, which the features reach too."""
        if features is None:
            hidden = self.param("hidden_bias", nn.initializers.zeros, (self.nade_units,))
        else:
            hidden = nn.Dense(self.nade_units)(features)
        weights = NadeWeights(self.units, self.nade_units, self.orderings > 0)()
        nade = NadeBernoulli(logits, hidden, *weights)
        if not self.orderings:
            return nade
        return OrderingEnsemble(nade, fixed_orders(self.orderings, self.units))


class DARN(nn.Module):
    """Encoder q(h|x), autoregressive prior p(h) and decoder p(x|h) (eqs. 1-6).

    Layers count bottom to top. `widths[k]` are the tanh layers between stochastic layer k and the
    layer below it (the visibles for k = 0), seen bottom to top; the decoder mirrors them. With
    `skip`, a conditional is fed by all layers drawn before it rather than by the nearest. With
    `linear_decoder` prior and decoder have no tanh layers (fDARN). `prior_nade` and `visible_nade`
    are hidden units of NADE in place of a triangular kernel, `orderings` makes them EoNADE.
    `dropout` acts on the tanh layers where a batch brings keys for it (`batch["dropout"]`, [B]),
    `input_dropout` on what the visibles' kernel sees of earlier visibles. With `background` the
    visibles have a second bias, which starts at the log odds of the average example.
    """

    data_dim: int
    stochastic_units: tuple[int, ...]
    widths: tuple[tuple[int, ...], ...]
    autoregressive_encoder: bool = False
    autoregressive_visibles: bool = True
    skip: bool = False
    linear_decoder: bool = False
    prior_nade: int = 0
    visible_nade: int = 0
    orderings: int = 0
    dropout: float = 0.0
    input_dropout: float = 0.0
    background: bool = False

    def setup(self):
        """Build one conditional for each arrow of the model."""
        units, depth = self.stochastic_units, len(self.stochastic_units)
        self.encoders = [
            Conditional(units[k], self.widths[k], self.autoregressive_encoder, dropout=self.dropout)
            for k in range(depth)
        ]
        down = [() if self.linear_decoder else widths[::-1] for widths in self.widths]
        nade = (self.prior_nade, self.orderings, self.dropout)
        self.priors = [
            Conditional(units[k], above, True, *nade) for k, above in enumerate([*down[1:], ()])
        ]
        self.visibles = Conditional(
            self.data_dim,
            down[0],
            self.autoregressive_visibles,
            self.visible_nade,
            self.orderings,
            self.dropout,
            self.input_dropout,
        )
        self.average = Background((self.data_dim,)) if self.background else None

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
            features = self._features(above) if above else None
            return self.priors[k](features, batch.get("dropout"))

        return Hierarchy(self.stochastic_units, tuple(range(top, -1, -1)), conditional)

    def posterior(self, batch: Batch) -> Hierarchy:
        """q(h|x), drawn from the bottom layer up."""

        def conditional(k, drawn):
            below = [drawn[j] for j in range(k - 1, -1, -1)]
            return self.encoders[k](self._features([*below, batch["x"]]), batch.get("dropout"))

        depth = len(self.stochastic_units)
        return Hierarchy(self.stochastic_units, tuple(range(depth)), conditional)

    def likelihood(self, z: Array, batch: Batch) -> UnitsDistribution:
        """p(x|h)."""
        layers = split_layers(z, self.stochastic_units)
        visibles = self.visibles(self._features(layers), batch.get("dropout"))
        if self.average is None:
            return visibles
        return visibles.replace(logits=visibles.logits + self.average(batch.get("x")))

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
    if config.get("background", False) and config.get("orderings", 0):
        raise ValueError(
            "model.background is a bias in one order of the visibles; model.orderings has "
            f"{config.orderings}. Set one of them to 0."
        )
    return DARN(
        data_dim=batch["x"].shape[-1],
        stochastic_units=units,
        widths=tanh_widths(units, tuple(config.deterministic_units)),
        autoregressive_encoder=config.autoregressive_encoder,
        autoregressive_visibles=config.autoregressive_visibles,
        skip=config.skip,
        linear_decoder=config.get("linear_decoder", False),
        prior_nade=config.get("prior_nade", 0),
        visible_nade=config.get("visible_nade", 0),
        orderings=config.get("orderings", 0),
        dropout=config.get("dropout", 0.0),
        input_dropout=config.get("input_dropout", 0.0),
        background=config.get("background", False),
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
