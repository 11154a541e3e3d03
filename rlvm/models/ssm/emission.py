"""What a state emits: p(x_t | z_t), and the likelihood of a whole sequence."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp

from rlvm.models.autoregressive import hard_threshold, uniforms
from rlvm.models.distributions import Bernoulli, Normal
from rlvm.models.ssm.noise import normals
from rlvm.nn.feed_forward import FeedForward, initializer, positive
from rlvm.types import Array

KINDS = ("bernoulli", "gaussian", "state")
SCALE_KINDS = ("fixed", "learnable", "heteroscedastic")


class Emission(nn.Module):
    """p(x_t | z_t): a Bernoulli or Gaussian network, or the first state dimensions plus noise.

    `scale` is the Gaussian's standard deviation (one number, or one for each dimension): kept if
    `fixed`, the start of a parameter if `learnable`, of a second head if `heteroscedastic`. The
    mean of a Gaussian network is observation_mean + observation_scale f(z).
    """

    observation_dim: int
    kind: str = "bernoulli"
    sizes: Sequence[int] = (64,)
    activations: Sequence[str] = ("softsign",)
    kernel_init: str = "lecun_normal"
    scale_kind: str = "fixed"
    scale: float | Sequence[float] = 1.0
    observation_mean: Sequence[float] = (0.0,)
    observation_scale: Sequence[float] = (1.0,)

    def setup(self):
        """The network, and the scale's parameters where it has any."""
        if self.kind not in KINDS:
            raise ValueError(f"No emission kind '{self.kind}'. Kinds: {', '.join(KINDS)}.")
        if self.scale_kind not in SCALE_KINDS:
            raise ValueError(
                f"No emission scale_kind '{self.scale_kind}'. Kinds: {', '.join(SCALE_KINDS)}."
            )
        if self.kind == "state" and self.scale_kind == "heteroscedastic":
            raise ValueError(
                "emission kind 'state' has no network: scale_kind is fixed or learnable."
            )
        heads = 1 + (self.kind == "gaussian" and self.scale_kind == "heteroscedastic")
        if self.kind != "state":
            self.hidden = FeedForward(self.sizes, self.activations, self.kernel_init)
            init = initializer(self.kernel_init)
            self.heads = nn.Dense(heads * self.observation_dim, kernel_init=init)
        if self.kind != "bernoulli" and self.scale_kind == "learnable":
            self.raw_scale = self.param("scale", nn.initializers.zeros, (self.observation_dim,))

    def __call__(self, z: Array) -> Bernoulli | Normal:
        """The distribution of each dimension of x given z: batch shape [..., D]."""
        if self.kind == "state":
            return Normal(z[..., : self.observation_dim], self._scale(0.0))
        mean, *raw = jnp.split(self._heads(z), self._num_heads(), axis=-1)
        if self.kind == "bernoulli":
            return Bernoulli(logits=mean, dtype=jnp.float32)
        center, unit = jnp.asarray(self.observation_mean), jnp.asarray(self.observation_scale)
        return Normal(center + unit * mean, self._scale(*raw))

    def _heads(self, z):
        return self.heads(self.hidden(z))

    def _num_heads(self):
        return self.heads.features // self.observation_dim

    def _scale(self, raw=0.0):
        scale = jnp.broadcast_to(jnp.asarray(self.scale, jnp.float32), (self.observation_dim,))
        if self.scale_kind == "fixed":
            return scale
        return positive(self.raw_scale if self.scale_kind == "learnable" else raw, scale)


class SequenceLikelihood:
    """p(x_1:T | z_1:T): independent dimensions, of which only the observed ones count."""

    def __init__(self, emission: Bernoulli | Normal, valid: Array):
        self.emission = emission  # batch shape [..., B, T, D]
        self.valid = valid  # [B, T], false after the end of a sequence

    def log_prob_steps(self, x: Array) -> Array:
        """Log p(x_t | z_t) of the observed dimensions: [..., B, T]; NaN is unobserved."""
        missing = jnp.isnan(x)
        observed = self.valid[..., None] & ~missing
        log_probs = self.emission.log_prob(jnp.where(missing, 0.0, x))
        return jnp.sum(jnp.where(observed, log_probs, 0.0), axis=-1)

    def log_prob(self, x: Array) -> Array:
        """Log p(x_1:T | z_1:T): [..., B]."""
        return jnp.sum(self.log_prob_steps(x), axis=-1)

    def sample(self, rng: Array) -> Array:
        """One draw of x for each key of `rng` [..., B], 0 after the end: [..., B, T, D]."""
        shape = self.emission.batch_shape[-2:]
        if isinstance(self.emission, Bernoulli):
            noise = uniforms(rng, math.prod(shape)).reshape(*rng.shape, *shape)
            x = hard_threshold(self.emission.logits, noise)
        else:
            x = self.emission.loc + self.emission.scale * normals(rng, shape)
        return jnp.where(self.valid[..., None], x, 0.0)

    def mean(self) -> Array:
        """E[x | z]: [..., B, T, D]."""
        return self.emission.mean()
