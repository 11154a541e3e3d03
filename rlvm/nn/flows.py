"""Inverse autoregressive flows (Kingma et al., 2016): x_i -> exp(a(x_<i)) x_i + m(x_<i)."""

import itertools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rlvm.nn.feed_forward import activation
from rlvm.types import Array


def autoregressive_masks(dim: int, sizes: Sequence[int], backward: bool) -> list[np.ndarray]:
    """Masks [in, out] under which output i is fed by the inputs before i only (MADE).

    Input i has degree i + 1 (counted from the end if `backward`), hidden units the degrees
    1..dim-1 in turn; an edge leads to an equal or higher degree, at the output a higher one.
    """
    degrees = np.arange(dim, 0, -1) if backward else np.arange(1, dim + 1)
    layers = [degrees] + [np.arange(size) % max(dim - 1, 1) + 1 for size in sizes]
    masks = [a[:, None] <= b[None] for a, b in itertools.pairwise(layers)]
    return [*masks, layers[-1][:, None] < np.tile(degrees, 2)[None]]


class MaskedDense(nn.Module):
    """A Dense whose kernel is zero where `mask` [in, out] is; it starts small by `scale`."""

    mask: np.ndarray
    scale: float = 1.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., in] -> [..., out]."""
        init = nn.initializers.variance_scaling(self.scale, "fan_in", "truncated_normal")
        kernel = self.param("kernel", init, self.mask.shape)
        bias = self.param("bias", nn.initializers.zeros, self.mask.shape[1:])
        return x @ (kernel * self.mask) + bias


class InverseAutoregressiveFlow(nn.Module):
    """One flow of the form y = exp(a(x)) x + m(x), a and m strictly autoregressive in x.

    Forward is one pass of the network, the inverse is sequential: one pass for each dimension.
    a = 2 tanh(b / 2) keeps a factor within exp(+-2); the flow starts near the identity.
    """

    dim: int
    sizes: Sequence[int] = (64, 32)
    activation: str = "relu"
    backward: bool = False

    def setup(self):
        """The masked network that gives m and a."""
        masks = autoregressive_masks(self.dim, self.sizes, self.backward)
        scales = [1.0] * len(self.sizes) + [0.01]
        self.layers = [MaskedDense(mask, scale) for mask, scale in zip(masks, scales, strict=True)]

    def shift_and_log_scale(self, x: Array) -> tuple[Array, Array]:
        """(m, a) at x: [..., dim] each."""
        for layer in self.layers[:-1]:
            x = activation(self.activation)(layer(x))
        shift, raw = jnp.split(self.layers[-1](x), 2, axis=-1)
        return shift, 2.0 * jnp.tanh(raw / 2.0)

    def forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """(y, log |dy/dx|)."""
        shift, log_scale = self.shift_and_log_scale(x)
        return x * jnp.exp(log_scale) + shift, jnp.sum(log_scale, axis=-1)

    def inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        """(x, log |dx/dy|), solved one dimension after the other."""
        order = jnp.arange(self.dim)[::-1] if self.backward else jnp.arange(self.dim)

        def solve(x, i):
            shift, log_scale = self.shift_and_log_scale(x)
            return jnp.where(jnp.arange(self.dim) == i, (y - shift) * jnp.exp(-log_scale), x), None

        x, _ = jax.lax.scan(solve, jnp.zeros_like(y), order)
        return x, -jnp.sum(self.shift_and_log_scale(x)[1], axis=-1)


class FlowChain(nn.Module):
    """`num_flows` inverse autoregressive flows, every second one in reversed order."""

    dim: int
    num_flows: int
    sizes: Sequence[int] = (64, 32)
    activation: str = "relu"

    def setup(self):
        """The flows, base side first."""
        self.flows = [
            InverseAutoregressiveFlow(self.dim, self.sizes, self.activation, bool(i % 2))
            for i in range(self.num_flows)
        ]

    def __call__(self, x: Array) -> Array:
        """The pushed-forward x; what `init` runs."""
        return self.forward_and_log_det(x)[0]

    def forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """Base to data: (y, log |dy/dx|)."""
        total = jnp.zeros(x.shape[:-1], x.dtype)
        for flow in self.flows:
            x, log_det = flow.forward_and_log_det(x)
            total = total + log_det
        return x, total

    def inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        """Data to base: (x, log |dx/dy|)."""
        total = jnp.zeros(y.shape[:-1], y.dtype)
        for flow in self.flows[::-1]:
            y, log_det = flow.inverse_and_log_det(y)
            total = total + log_det
        return y, total
