"""Autoregressive Bernoulli vectors and hierarchies of them (DARN eqs. 1-6).

One triangular matmul gives all conditionals of a known vector at once; sampling is ancestral and
exact, in blocks: units are drawn one by one inside a small block, and the finished block reaches
all later logits through one matmul.
"""

import abc
import functools
from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp

from rlvm.types import Array, Surrogate

BLOCK = 16  # units drawn one by one between two matmuls
SEGMENT = 128  # units, about, that one matmul of full width then passes on


def uniforms(rng: Array, units: int) -> Array:
    """Uniforms [..., units], one row of noise for each key of `rng` [...]."""
    draw = jax.vmap(lambda key: jax.random.uniform(key, (units,)))
    return draw(rng.reshape(-1)).reshape(*rng.shape, units)


def hard_threshold(logits: Array, noise: Array) -> Array:
    """The plain sampler: 1.0 where noise < sigmoid(logits), without a gradient."""
    return (noise < jax.nn.sigmoid(logits)).astype(logits.dtype)


class BinaryVectors(abc.ABC):
    """A distribution of binary vectors that is drawn unit after unit from uniforms."""

    @property
    @abc.abstractmethod
    def units(self) -> int:
        """Length of a vector."""

    @abc.abstractmethod
    def log_prob(self, value: Array) -> Array:
        """Log probability in nats: [...]."""

    @abc.abstractmethod
    def sample_from(self, surrogate: Surrogate, noise: Array) -> Array:
        """The draw that uniforms `noise` [..., units] give when each unit passes `surrogate`."""

    def draw(self, surrogate: Surrogate, noise: Array) -> tuple[Array, Array]:
        """The draw of `sample_from` and its log probability."""
        value = self.sample_from(surrogate, noise)
        return value, self.log_prob(value)

    def sample_with(self, surrogate: Surrogate, rng: Array) -> tuple[Array, Array]:
        """Draw h through `surrogate`; returns h and log p(h) at that same h."""
        return self.draw(surrogate, uniforms(rng, self.units))

    def sample(self, rng: Array) -> Array:
        """One exact draw for each key of `rng`."""
        return self.sample_from(hard_threshold, uniforms(rng, self.units))


@flax.struct.dataclass
class AutoregressiveBernoulli(BinaryVectors):
    """Binary vectors with p(h_j = 1 | h_<j) = sigmoid(logits_j + sum_{i<j} h_i kernel[i, j]).

    `logits` [..., D] hold bias and context; `kernel` [D, D] is strictly upper triangular, or None
    for independent units. `seen` [..., D] scales what each unit shows to later ones: a mask of
    dropout in `log_prob` while training, absent from everything that samples or evaluates.
    """

    logits: Array
    kernel: Array | None = None
    seen: Array | None = None

    @property
    def units(self) -> int:
        """Length of a vector."""
        return self.logits.shape[-1]

    def conditional_logits(self, value: Array) -> Array:
        """The logit of every unit given the units before it in `value`: [..., D]."""
        if self.kernel is None:
            return self.logits
        shown = value if self.seen is None else value * self.seen
        return self.logits + shown @ self.kernel

    def log_prob(self, value: Array) -> Array:
        """log p(value) in nats, linear in real `value` per unit: h a - softplus(a)."""
        logits = self.conditional_logits(value)
        return jnp.sum(value * logits - jax.nn.softplus(logits), axis=-1)

    def log_prob_table(self, values: Array) -> Array:
        """log p of every value [B, D] under every logit vector [H, D]: [H, B].

        Independent units need one matmul; autoregressive ones a softplus for every (H, B, D).
        """
        if self.kernel is None:
            normalizer = jnp.sum(jax.nn.softplus(self.logits), axis=-1)
            return self.logits @ values.T - normalizer[:, None]
        logits = self.logits[:, None, :] + (values @ self.kernel)[None]
        return jnp.sum(values * logits - jax.nn.softplus(logits), axis=-1)

    def sample_from(self, surrogate: Surrogate, noise: Array) -> Array:
        """The draw that uniforms `noise` [..., D] give when each unit passes `surrogate`."""
        logits = jnp.broadcast_to(self.logits, noise.shape)
        if self.kernel is None:
            return surrogate(logits, noise)
        return sample_blocked(surrogate, logits, self.kernel, noise)


def sample_blocked(
    surrogate: Surrogate, logits: Array, kernel: Array, noise: Array, block: int = BLOCK
) -> Array:
    """Ancestral sampling of [..., D] units in blocks; equal to unit by unit for the same noise.

    A finished block reaches the rest of its segment block by block; a finished segment reaches each
    later one by a matmul of full width. What is still unknown is thus seldom multiplied. Units
    stand first inside, so that one unit of all chains is contiguous.
    """
    units = logits.shape[-1]
    length = -(-units // max(round(units / SEGMENT), 1))
    logits, noise = jnp.moveaxis(logits, -1, 0), jnp.moveaxis(noise, -1, 0)  # [D, ...]
    drawn: list[Array] = []
    for start in range(0, units, length):
        here = slice(start, start + length)
        active = logits[here]
        if drawn:
            active = active + _reached(kernel[:start, here], jnp.concatenate(drawn))
        drawn.append(_sample_segment(surrogate, active, kernel[here, here], noise[here], block))
    return jnp.moveaxis(jnp.concatenate(drawn), 0, -1)


def _reached(kernel: Array, drawn: Array) -> Array:
    """What drawn units [I, ...] add to the logits of others through a kernel [I, J]: [J, ...]."""
    return jnp.tensordot(kernel, drawn, axes=(0, 0))


def _sample_segment(
    surrogate: Surrogate, logits: Array, kernel: Array, noise: Array, block: int
) -> Array:
    """One segment [K, ...], block after block."""
    units = len(logits)
    block = min(block, units)
    num_blocks = -(-units // block)
    padding = num_blocks * block - units
    edge = [(0, padding), *[(0, 0)] * (logits.ndim - 1)]
    logits, noise = jnp.pad(logits, edge), jnp.pad(noise, edge)
    kernel = jnp.pad(kernel, ((0, padding), (0, padding)))

    def draw_block(drawn, start):
        columns = jax.lax.dynamic_slice_in_dim(kernel, start, block, axis=1)
        within = jax.lax.dynamic_slice_in_dim(columns, start, block)
        active = jax.lax.dynamic_slice_in_dim(logits, start, block) + _reached(columns, drawn)
        noise_here = jax.lax.dynamic_slice_in_dim(noise, start, block)
        values = _sample_units(surrogate, active, within, noise_here)
        return jax.lax.dynamic_update_slice_in_dim(drawn, values, start, axis=0), None

    starts = jnp.arange(num_blocks) * block
    drawn, _ = jax.lax.scan(draw_block, jnp.zeros_like(logits), starts)
    return drawn[:units]


def _sample_units(surrogate: Surrogate, logits: Array, kernel: Array, noise: Array) -> Array:
    """One block [K, ...], unit after unit, each adding its row of the kernel to the logits."""

    def draw(logits, inputs):
        unit, row, noise_here = inputs
        here = jax.lax.dynamic_index_in_dim(logits, unit, keepdims=False)
        value = surrogate(here, noise_here)
        return logits + jnp.multiply.outer(row, value), value

    return jax.lax.scan(draw, logits, (jnp.arange(len(logits)), kernel, noise))[1]


@flax.struct.dataclass
class Hierarchy(BinaryVectors):
    """Stochastic layers, each an AutoregressiveBernoulli given those drawn before it.

    A value is one flat vector [..., sum(sizes)], layers bottom to top. `order` is the order of
    drawing: bottom to top for an encoder, top to bottom for a prior. `conditional(layer, drawn)`
    gives the distribution of a layer from a dict of the layers drawn so far.
    """

    sizes: tuple[int, ...] = flax.struct.field(pytree_node=False)
    order: tuple[int, ...] = flax.struct.field(pytree_node=False)
    conditional: Callable[[int, dict[int, Array]], AutoregressiveBernoulli] = flax.struct.field(
        pytree_node=False
    )

    @property
    def units(self) -> int:
        """Length of the flat vector."""
        return sum(self.sizes)

    def log_prob(self, value: Array) -> Array:
        """Sum of the layers' conditional log probabilities in nats: [...]."""
        layers = dict(enumerate(split_layers(value, self.sizes)))
        terms = [self.conditional(k, layers).log_prob(layers[k]) for k in self.order]
        return functools.reduce(jnp.add, terms)

    def draw(self, surrogate: Surrogate, noise: Array) -> tuple[Array, Array]:
        """The draw that uniforms `noise` [..., sum(sizes)] give, and its log probability.

        A layer is drawn and priced by one distribution: its features are computed once, and so is
        their gradient.
        """
        noises = split_layers(noise, self.sizes)
        drawn: dict[int, Array] = {}
        terms = []
        for k in self.order:
            drawn[k], term = self.conditional(k, drawn).draw(surrogate, noises[k])
            terms.append(term)
        value = jnp.concatenate([drawn[k] for k in range(len(self.sizes))], axis=-1)
        return value, functools.reduce(jnp.add, terms)

    def sample_from(self, surrogate: Surrogate, noise: Array) -> Array:
        """The draw that uniforms `noise` [..., sum(sizes)] give through `surrogate`."""
        return self.draw(surrogate, noise)[0]


def split_layers(value: Array, sizes: tuple[int, ...]) -> list[Array]:
    """Cut a flat vector [..., sum(sizes)] into its layers."""
    bounds = [sum(sizes[: k + 1]) for k in range(len(sizes) - 1)]
    return jnp.split(value, bounds, axis=-1)
