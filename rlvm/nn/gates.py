"""Decoder cells G1, ConvG1, ConvG2, ConvG3 of the Recurrent Ladder (appendix A.1-A.3).

Each is called as ``cell(top, h, past, examples)``: `top` is v_top, the signal from the level above;
`h` is the encoder's activation on the level below, whose shape the result y has; `past` holds this
level's earlier y where the decoder is recurrent (appendix C's dotted connection), else it is empty.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from rlvm.nn.convolution import Convolution
from rlvm.nn.normalization import normalization
from rlvm.nn.pyramid import Up
from rlvm.nn.sums import spread
from rlvm.types import Array

VALUE = (0.0, 1.0, 0.0, 1.0, 0.0)  # f(u, w) = u at the start
GATE = (1.0, 1.0, 0.0, 0.0, 0.0)  # f(u, w) = sigmoid(u) at the start


class SigmoidLinear(nn.Module):
    """f(u, w) = w0 sigmoid(w1 u + w2) + w3 u + w4 (eq. 6), one w for each of the last axis."""

    start: tuple[float, ...]

    @nn.compact
    def __call__(self, u: Array) -> Array:
        """u [..., F] -> [..., F]."""

        def init(_, shape):
            return jnp.broadcast_to(jnp.asarray(self.start)[:, None], shape)

        w = [spread(row, u.shape) for row in self.param("w", init, (5, u.shape[-1]))]
        return w[0] * jax.nn.sigmoid(w[1] * u + w[2]) + w[3] * u + w[4]


class G1(nn.Module):
    """u = Norm(A v_top) + b; s = f(u, w_s); y = s h + (1 - s) f(u, w), fully connected (A.1).

    A.1 prints BN(A v_top + b), but inside the brackets BN would subtract b again.
    """

    norm: str = "batch"
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, top: Array, h: Array, past: Sequence[Array] = (), examples: Array | None = None
    ) -> Array:
        """top [B, ...], h [B, ...] -> [B, ...]."""
        flat = h.reshape(len(h), -1)
        u = jnp.zeros(())
        for name, v in zip(("A", "P"), (top, *past), strict=False):
            u += nn.Dense(flat.shape[-1], use_bias=False, name=name)(v.reshape(len(v), -1))
        u = normalization(self.norm, self.axis_name, "norm", shift=True)(u, examples)
        return _gated(u, flat).reshape(h.shape)


class ConvG1(nn.Module):
    """G1 with u = Norm(A * v_top) + b, `*` a convolution that gives v_top the size of h (A.1)."""

    filter_size: tuple[int, ...]
    stride: int = 1
    norm: str = "batch"
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, top: Array, h: Array, past: Sequence[Array] = (), examples: Array | None = None
    ) -> Array:
        """top [B, H', W', C'], h [B, H, W, C] -> [B, H, W, C]."""
        u = jnp.zeros(())
        for name, stride, v in zip(("A", "P"), (self.stride, 1), (top, *past), strict=False):
            u += Up(h.shape[-1], self.filter_size, h.shape[1:3], stride, name=name)(v)
        u = normalization(self.norm, self.axis_name, "norm", shift=True)(u, examples)
        return _gated(u, h)


def _gated(u: Array, h: Array) -> Array:
    """s h + (1 - s) f(u, w) with s = f(u, w_s), which nothing confines to [0, 1]."""
    s = SigmoidLinear(GATE, name="w_s")(u)
    return s * h + (1.0 - s) * SigmoidLinear(VALUE, name="w")(u)


class NormedSums(nn.Module):
    """Norm(A * v_top) + Norm(B * h) + c (+ Norm(P * past)), the argument of A.2 and A.3.

    `count` of them are computed by one convolution of each input, but normalised on their own.
    """

    features: int
    count: int
    filter_size: tuple[int, ...]
    stride: int
    norm: str
    axis_name: str | None

    @nn.compact
    def __call__(
        self, top: Array, h: Array, past: Sequence[Array], examples: Array | None
    ) -> list[Array]:
        """top [B, H', W', C'], h [B, H, W, C] -> count times [B, H, W, F]."""
        width = self.count * self.features
        c = self.param("c", nn.initializers.zeros, (width,))
        total = spread(c, (*h.shape[:-1], width))
        for name, v in zip(("A", "B", "P"), (top, h, *past), strict=False):
            # Only v_top comes from the level above; h and the past are already of the right size.
            stride = self.stride if name == "A" else 1
            convolved = Up(width, self.filter_size, h.shape[1:3], stride, name=name)(v)
            norm = normalization(self.norm, self.axis_name, name=f"norm_{name}", groups=self.count)
            total += norm(convolved, examples)
        return jnp.split(total, self.count, axis=-1)


class ConvG2(nn.Module):
    """Two candidates and a gate, y = s mu_1 + (1 - s) mu_2, each f of its own normed sum (A.2)."""

    filter_size: tuple[int, ...]
    stride: int = 1
    norm: str = "layer"
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, top: Array, h: Array, past: Sequence[Array] = (), examples: Array | None = None
    ) -> Array:
        """top [B, H', W', C'], h [B, H, W, C] -> [B, H, W, C]."""
        options = (self.filter_size, self.stride, self.norm, self.axis_name)
        sums = NormedSums(h.shape[-1], 3, *options, name="sums")(top, h, past, examples)
        mu_1, mu_2, s = (
            SigmoidLinear(start, name=f"w_{name}")(u)
            for name, start, u in zip("12s", (VALUE, VALUE, GATE), sums, strict=True)
        )
        return s * mu_1 + (1.0 - s) * mu_2


class ConvG3(nn.Module):
    """u = relu(normed sum); s = sigmoid(W_s * u); y = s (D * u) + (1 - s) (E * u) (A.3).

    `hidden` is the number of channels of u, which the paper leaves open: the row's own number.
    """

    filter_size: tuple[int, ...]
    hidden: int
    stride: int = 1
    norm: str = "layer"
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, top: Array, h: Array, past: Sequence[Array] = (), examples: Array | None = None
    ) -> Array:
        """top [B, H', W', C'], h [B, H, W, C] -> [B, H, W, C]."""
        options = (self.filter_size, self.stride, self.norm, self.axis_name)
        (total,) = NormedSums(self.hidden, 1, *options, name="sum")(top, h, past, examples)
        u = nn.relu(total)

        def conv(name: str) -> Array:
            return Convolution(h.shape[-1], self.filter_size, use_bias=True, name=name)(u)

        s = jax.nn.sigmoid(conv("W_s"))
        return s * conv("D") + (1.0 - s) * conv("E")
