"""NADE and EoNADE: Bernoulli vectors whose conditionals share one hidden layer.

As distributions they stand wherever an `AutoregressiveBernoulli` does, so that DARN's prior and
decoder can be either; as modules they are densities of their own.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.models.autoregressive import BinaryVectors
from rlvm.nn.nade import NadeWeights, unit_logits
from rlvm.types import Array, Batch, Surrogate

BLOCK = 16  # units evaluated at once; a block's hidden units are recomputed for its gradient


@flax.struct.dataclass
class NadeBernoulli(BinaryVectors):
    """p(x_i = 1 | x_<i) = s(logits_i + V[i] . s(hidden + sum_{k<i} x_k W[k] + known[k])).

    `logits` [..., D] and `hidden` [..., H] hold biases and context.
    """

    logits: Array
    hidden: Array
    kernel: Array  # W [D, H]
    readout: Array  # V [D, H]
    known: Array | None = None  # [D, H]

    @property
    def units(self) -> int:
        """Length of a vector."""
        return self.logits.shape[-1]

    def conditional_logits(self, value: Array) -> Array:
        """The logit of every unit given the units before it in `value`: [..., D]."""
        lead = jnp.broadcast_shapes(value.shape[:-1], self.hidden.shape[:-1])
        hidden = jnp.broadcast_to(self.hidden, (*lead, self.hidden.shape[-1]))
        weights = (self.kernel, self.readout, self.known)

        @jax.checkpoint
        def block(hidden, inputs):
            value, (kernel, readout, known) = inputs
            logits = unit_logits(value, hidden, kernel, readout, known)
            hidden = hidden + value @ kernel
            return hidden if known is None else hidden + jnp.sum(known, axis=0), logits

        inputs = (_blocks(value, value.ndim - 1), jax.tree.map(lambda w: _blocks(w, 0), weights))
        _, logits = jax.lax.scan(block, hidden, inputs)  # [blocks, ..., BLOCK]
        logits = jnp.moveaxis(logits, 0, -2)
        logits = logits.reshape(*logits.shape[:-2], -1)[..., : value.shape[-1]]
        return self.logits + logits

    def log_prob(self, value: Array) -> Array:
        """log p(value) in nats: [...]."""
        logits = self.conditional_logits(value)
        return jnp.sum(value * logits - jax.nn.softplus(logits), axis=-1)

    def log_prob_table(self, values: Array) -> Array:
        """log p of every value [B, D] under every context [C]: [C, B]."""
        each = dataclasses.replace(self, logits=self.logits[:, None], hidden=self.hidden[:, None])
        return each.log_prob(values[None])

    def sample_from(self, surrogate: Surrogate, noise: Array) -> Array:
        """Ancestral sampling, unit by unit."""
        order = jnp.broadcast_to(jnp.arange(noise.shape[-1]), noise.shape)
        return draw_in_order(self, surrogate, noise, order)

    def ordered(self, order: Array) -> "NadeBernoulli":
        """The same conditionals for values whose units come in `order` [D]."""
        return dataclasses.replace(
            self,
            logits=self.logits[..., order],
            kernel=self.kernel[order],
            readout=self.readout[order],
            known=None if self.known is None else self.known[order],
        )


def _blocks(array: Array, axis: int) -> Array:
    """Axis of D units padded and cut to [blocks, ..., BLOCK, ...], blocks first."""
    units = array.shape[axis]
    count = -(-units // BLOCK)
    edge = [(0, 0)] * array.ndim
    edge[axis] = (0, count * BLOCK - units)
    shape = (*array.shape[:axis], count, BLOCK, *array.shape[axis + 1 :])
    return jnp.moveaxis(jnp.pad(array, edge).reshape(shape), axis, 0)


def draw_in_order(nade: NadeBernoulli, surrogate: Surrogate, noise: Array, order: Array) -> Array:
    """The draw in which each example's units come in its `order` [..., D]; `noise` too."""
    lead = noise.shape[:-1]
    logits = jnp.broadcast_to(nade.logits, noise.shape)
    known = jnp.zeros_like(nade.kernel) if nade.known is None else nade.known

    def draw(hidden, inputs):
        unit, noise = inputs
        bias = jnp.take_along_axis(logits, unit[..., None], axis=-1)[..., 0]
        logit = bias + jnp.sum(nade.readout[unit] * jax.nn.sigmoid(hidden), axis=-1)
        value = surrogate(logit, noise)
        return hidden + value[..., None] * nade.kernel[unit] + known[unit], value

    hidden = jnp.broadcast_to(nade.hidden, (*lead, nade.hidden.shape[-1]))
    inputs = (jnp.moveaxis(order, -1, 0), jnp.moveaxis(noise, -1, 0))
    _, values = jax.lax.scan(draw, hidden, inputs)
    return jnp.take_along_axis(jnp.moveaxis(values, 0, -1), jnp.argsort(order, axis=-1), axis=-1)


@flax.struct.dataclass
class OrderingEnsemble(BinaryVectors):
    """EoNADE: the equal mixture of one NADE's distributions under K orderings."""

    nade: NadeBernoulli
    orders: Array  # [K, D], a permutation in each row

    @property
    def units(self) -> int:
        """Length of a vector."""
        return self.nade.units

    def log_prob(self, value: Array) -> Array:
        """log (1/K) sum_k p_k(value): [...]."""

        def under(order):
            return self.nade.ordered(order).log_prob(jnp.take(value, order, axis=-1))

        each = jax.lax.map(under, self.orders)
        return jax.nn.logsumexp(each, axis=0) - jnp.log(len(self.orders))

    def log_prob_table(self, values: Array) -> Array:
        """log p of every value [B, D] under every context [C]: [C, B]."""
        nade = self.nade
        each = dataclasses.replace(nade, logits=nade.logits[:, None], hidden=nade.hidden[:, None])
        return dataclasses.replace(self, nade=each).log_prob(values[None])

    def sample_from(self, surrogate: Surrogate, noise: Array) -> Array:
        """Draw an ordering, then the units in it.

        The first uniform u serves twice: floor(K u) is the ordering, and what is left of K u is a
        uniform again, independent of it.
        """
        scaled = noise[..., 0] * len(self.orders)
        chosen = jnp.minimum(scaled.astype(jnp.int32), len(self.orders) - 1)
        noise = noise.at[..., 0].set(scaled - chosen)
        return draw_in_order(self.nade, surrogate, noise, self.orders[chosen])


def fixed_orders(count: int, units: int) -> Array:
    """The same `count` random permutations of `units` every time: [count, units]."""
    keys = jax.random.split(jax.random.key(0), count)
    return jax.vmap(lambda key: jax.random.permutation(key, units))(keys)


class NADE(nn.Module):
    """A density over binary vectors; `orderings` = 0 is NADE in the order of the data."""

    data_dim: int
    hidden_units: int
    orderings: int = 0

    def setup(self):
        """Biases of visible and hidden units, and the shared weights."""
        self.bias = self.param("bias", nn.initializers.zeros, (self.data_dim,))
        self.hidden_bias = self.param("hidden_bias", nn.initializers.zeros, (self.hidden_units,))
        self.weights = NadeWeights(self.data_dim, self.hidden_units, self.orderings > 0)

    def __call__(self, batch: Batch) -> Array:
        """The entry for `init`."""
        return self.log_prob(batch)

    def distribution(self) -> NadeBernoulli | OrderingEnsemble:
        """p(x)."""
        nade = NadeBernoulli(self.bias, self.hidden_bias, *self.weights())
        if not self.orderings:
            return nade
        return OrderingEnsemble(nade, fixed_orders(self.orderings, self.data_dim))

    def log_prob(self, batch: Batch) -> Array:
        """log p(x) in nats: [B]."""
        return self.distribution().log_prob(batch["x"])

    def sample(self, rng: Array) -> Array:
        """One exact draw for each key of `rng`: [..., D]."""
        return self.distribution().sample(rng)


class EoNADE(NADE):
    """NADE for any ordering: what `order_agnostic` trains (Uria et al. 2014)."""

    def masked_logits(self, x: Array, known: Array) -> Array:
        """The logits of all units given those whose `known` is 1: [B, D] each."""
        kernel, readout, rows = self.weights()
        hidden = self.hidden_bias + (x * known) @ kernel + known @ rows
        return self.bias + nn.sigmoid(hidden) @ readout.T


def build(config: ConfigDict, batch: Batch) -> Any:
    """The network for batches shaped like `batch`."""
    kind = EoNADE if config.orderings else NADE
    return kind(batch["x"].shape[-1], config.hidden_units, config.orderings)
