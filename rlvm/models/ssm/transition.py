"""How a state follows the last one: z_t = F(z_{t-1}, u_{t-1}) + G(z_{t-1}) * eps_t."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from rlvm.nn.feed_forward import FeedForward, activation, columns, initializer, positive
from rlvm.types import Array

KINDS = ("plain", "residual", "highway")


class Transition(nn.Module):
    """Mean F and gain G of p(z_t | z_{t-1}, u_{t-1}) = N(F, G^2) (appendix B).

    plain: F = f(z, u). residual: F = z + f. highway: F = g f + (1 - g) z with g = sigmoid(linear in
    z and u). The gain is a positive function of z alone, one layer. First layer, gate and gain are
    one matmul with z; the controls' part of it does not depend on z and is projected ahead.
    """

    state_dim: int
    kind: str = "highway"
    sizes: Sequence[int] = (64,)
    activations: Sequence[str] = ("softsign",)
    kernel_init: str = "lecun_normal"
    initial_gain: float = 0.5
    has_controls: bool = False

    def setup(self):
        """The fused first layer, then the layers above it."""
        if self.kind not in KINDS:
            raise ValueError(f"No transition kind '{self.kind}'. Kinds: {', '.join(KINDS)}.")
        widths = (*self.sizes, self.state_dim)
        gate = self.state_dim if self.kind == "highway" else 0
        self.splits = (widths[0], widths[0] + gate)
        init, small = (
            initializer(self.kernel_init),
            nn.initializers.variance_scaling(0.1, "fan_in", "truncated_normal"),
        )
        self.from_state = nn.Dense(
            widths[0] + gate + self.state_dim,
            kernel_init=columns((init, widths[0]), (small, gate), (small, self.state_dim)),
        )
        if self.has_controls:
            self.from_controls = nn.Dense(
                self.splits[1],
                kernel_init=columns((init, widths[0]), (small, gate)),
                use_bias=False,
            )
        self.rest = FeedForward(self.sizes[1:], self.activations[1:], self.kernel_init)
        if self.sizes:
            self.out = nn.Dense(self.state_dim, kernel_init=init)

    def project(self, controls: Array | None) -> Array | None:
        """The controls' part of the fused first layer, for all steps at once."""
        return self.from_controls(controls) if self.has_controls else None

    def __call__(self, z: Array, projected: Array | None = None) -> tuple[Array, Array]:
        """(F, G) at z [..., Z] and projected controls: [..., Z] each."""
        fused = self.from_state(z)
        to_mean, raw_gain = fused[..., : self.splits[1]], fused[..., self.splits[1] :]
        if projected is not None:
            to_mean = to_mean + projected
        f = to_mean[..., : self.splits[0]]
        if self.sizes:
            f = self.out(self.rest(activation(self.activations[0])(f)))
        if self.kind == "residual":
            f = z + f
        if self.kind == "highway":
            f = z + jax.nn.sigmoid(to_mean[..., self.splits[0] :]) * (f - z)
        return f, positive(raw_gain, self.initial_gain)


def lagged(controls: Array) -> Array:
    """u_{t-1} at step t, with u_0 = 0: shifts [..., T, U] by one step."""
    return jnp.concatenate([jnp.zeros_like(controls[..., :1, :]), controls[..., :-1, :]], axis=-2)
