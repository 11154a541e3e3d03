"""Feed-forward networks whose widths, activations and initialisers are data."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from rlvm.types import Array


def activation(name: str) -> Callable[[Array], Array]:
    """The elementwise function of that name in `jax.nn`: softsign, softplus, relu, ..."""
    found = getattr(jax.nn, {"softsign": "soft_sign"}.get(name, name), None)
    if found is None:
        raise ValueError(f"No activation '{name}' in jax.nn. Try softsign, softplus, relu or tanh.")
    return found


def initializer(name: str) -> Callable[..., Array]:
    """The kernel initialiser of that name in `flax.linen.initializers`, with its defaults."""
    found = getattr(nn.initializers, name, None)
    if found is None:
        raise ValueError(
            f"No initialiser '{name}' in flax.linen.initializers. "
            "Try lecun_normal, glorot_normal or orthogonal."
        )
    return found()


def columns(*blocks: tuple[Callable[..., Array], int]) -> Callable[..., Array]:
    """An initialiser of a kernel whose column blocks start as `(initialiser, width)` each."""
    blocks = tuple(block for block in blocks if block[1])

    def init(rng, shape, dtype=jnp.float32):
        keys = jax.random.split(rng, len(blocks))
        parts = [
            start(key, (*shape[:-1], width), dtype)
            for key, (start, width) in zip(keys, blocks, strict=True)
        ]
        return jnp.concatenate(parts, axis=-1)

    return init


class FeedForward(nn.Module):
    """Layers `activation(W h + b)`, one width and one activation each."""

    sizes: Sequence[int]
    activations: Sequence[str]
    kernel_init: str = "lecun_normal"

    def setup(self):
        """One Dense for each width."""
        if len(self.sizes) != len(self.activations):
            raise ValueError(
                f"{len(self.sizes)} layer sizes {tuple(self.sizes)} came with "
                f"{len(self.activations)} activations {tuple(self.activations)}; expected one each."
            )
        init = initializer(self.kernel_init)
        self.layers = [nn.Dense(size, kernel_init=init) for size in self.sizes]

    def __call__(self, h: Array) -> Array:
        """[..., F] -> [..., sizes[-1]]; without layers h itself."""
        for layer, name in zip(self.layers, self.activations, strict=True):
            h = activation(name)(layer(h))
        return h


class GaussianNet(nn.Module):
    """Mean and scale of a diagonal Gaussian from features that are known before a scan and others.

    The first layer is split in two, so that its product with the features leaves the scan. The
    scale starts near `initial_scale`, the mean as wide as the layers give it: a network that starts
    with more noise than signal teaches the decoder to ignore the state.
    """

    dim: int
    sizes: Sequence[int]
    activations: Sequence[str]
    kernel_init: str = "lecun_normal"
    initial_scale: float = 0.1
    has_state_input: bool = True

    def setup(self):
        """First layer in two parts, then the other layers, then both heads as one Dense."""
        if not self.sizes or len(self.sizes) != len(self.activations):
            raise ValueError(
                f"A Gaussian network came with sizes {tuple(self.sizes)} and activations "
                f"{tuple(self.activations)}; expected at least one layer, and one activation each."
            )
        init = initializer(self.kernel_init)
        self.from_features = nn.Dense(self.sizes[0], kernel_init=init)
        if self.has_state_input:
            self.from_state = nn.Dense(self.sizes[0], kernel_init=init, use_bias=False)
        self.rest = FeedForward(self.sizes[1:], self.activations[1:], self.kernel_init)
        small = nn.initializers.variance_scaling(0.1, "fan_in", "truncated_normal")
        self.heads = nn.Dense(
            2 * self.dim, kernel_init=columns((init, self.dim), (small, self.dim))
        )

    def project(self, features: Array) -> Array:
        """The features' part of the first layer, for all time steps at once: [..., sizes[0]]."""
        return self.from_features(features)

    def __call__(self, projected: Array, state: Array | None = None) -> tuple[Array, Array]:
        """(mean, scale), [..., dim] each, from projected features and what the scan knows."""
        h = projected if state is None else projected + self.from_state(state)
        h = self.rest(activation(self.activations[0])(h))
        mean, raw = jnp.split(self.heads(h), 2, axis=-1)
        return mean, positive(raw, self.initial_scale)


def positive(raw: Array, start: float) -> Array:
    """A softplus that is `start` at raw = 0, and never below 1e-4."""
    return jax.nn.softplus(raw + start + jnp.log(-jnp.expm1(-start))) + 1e-4
