"""The inference network: features of what is observed, and q(z_1 | .), q(z_t | .) from them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from rlvm.models.ssm.conditioning import Conditioning
from rlvm.nn.feed_forward import FeedForward, GaussianNet
from rlvm.nn.recurrent import GRU, RecurrentFeatures, Starts
from rlvm.types import Array, Batch


class Features(NamedTuple):
    """What a batch tells the inference network, once per example and with no state in it."""

    first: Array  # [B, H], projected into the network of q(z_1 | .)
    rest: Array  # [B, T-1, H], projected into the network of q(z_t | .), t > 1


def valid_steps(batch: Batch) -> Array:
    """Which steps lie before the end of their sequence: bool [B, T]."""
    batch_size, num_timesteps = batch["x"].shape[:2]
    if "lengths" not in batch:
        return jnp.ones((batch_size, num_timesteps), bool)
    return jnp.arange(num_timesteps) < batch["lengths"][:, None]


class Observed(NamedTuple):
    """What is observed of some steps, time first."""

    x: Array  # [T, B, D], NaN where unobserved
    valid: Array  # [T, B], false after the end of a sequence
    u: Array | None  # [T, B, U]


def observed(batch: Batch) -> Observed:
    """All steps of a batch."""
    u = jnp.swapaxes(batch["u"], 0, 1) if "u" in batch else None
    return Observed(jnp.swapaxes(batch["x"], 0, 1), valid_steps(batch).T, u)


def encoder_inputs(seen: Observed, mean: Array | float = 0.0, scale: Array | float = 1.0) -> Array:
    """Per step standardised x (0 where unobserved), its observed flags, and u: [T, B, 2 D + U].

    Everything after the end of a sequence is zero, flags included.
    """
    valid = seen.valid[..., None]
    flags = ~jnp.isnan(seen.x) & valid
    parts = [jnp.where(flags, (seen.x - mean) / scale, 0.0), flags.astype(seen.x.dtype)]
    if seen.u is not None:
        parts.append(jnp.where(valid, seen.u, 0.0))
    return jnp.concatenate(parts, axis=-1)


class InferenceNetwork(nn.Module):
    """q(z_1 | f_1) and q(z_t | z~_t, f_t), with features as `conditioning` says (appendix B).

    f_1:T comes from a GRU in the conditioning's direction (or a Dense of x_t alone); f_1 is its
    first output, or a network on the flattened chunk x_1:k, u_1:k.
    """

    state_dim: int
    conditioning: Conditioning
    features: Mapping
    prefix: Mapping
    inverse_initial: Mapping
    inverse_residual: Mapping
    initial_scale: float = 0.1
    observation_mean: Sequence[float] = (0.0,)
    observation_scale: Sequence[float] = (1.0,)
    segment: int = 0

    def setup(self):
        """The feature networks this conditioning needs, and the two Gaussian networks."""
        spec = self.conditioning
        if spec.direction == "none":
            self.frame_features = nn.Dense(self.features["size"])
        else:
            self.sequence_features = RecurrentFeatures(
                **self.features, direction=spec.direction, segment=self.segment
            )
        if spec.first == "x_1:k":
            self.prefix_features = FeedForward(**self.prefix)
        if spec.latents == "z_1:t-1":
            self.memory = GRU(self.features["size"])
        gaussian = {"dim": self.state_dim, "initial_scale": self.initial_scale}
        self.first = GaussianNet(**gaussian, **self.inverse_initial, has_state_input=False)
        self.rest = GaussianNet(
            **gaussian, **self.inverse_residual, has_state_input=spec.latents != "none"
        )

    def project(self, batch: Batch) -> Features:
        """All that can be computed before any state is known."""
        seen = observed(batch)
        f = self.steps(seen)
        rest = jnp.swapaxes(self.rest.project(f[1:]), 0, 1)
        return Features(self.project_first(seen, f[0]), rest)

    def project_first(self, seen: Observed, f: Array) -> Array:
        """The network of q(z_1 | .) up to its first layer: from f_1 or from the first steps."""
        if self.conditioning.first == "x_1:T":
            return self.first.project(f)
        k = self.conditioning.prefix_length
        chunk = self._encode(jax.tree.map(lambda a: a[:k], seen))  # [<= k, B, F]
        chunk = jnp.pad(chunk, ((0, k - len(chunk)), (0, 0), (0, 0)))
        flat = jnp.swapaxes(chunk, 0, 1).reshape(chunk.shape[1], -1)
        return self.first.project(self.prefix_features(flat))

    def steps(self, seen: Observed, starts: Starts | None = None) -> Array:
        """The features f_t of these steps, from the `starts` of their segment: [T, B, H]."""
        inputs = self._encode(seen)
        if self.conditioning.direction == "none":
            return nn.tanh(self.frame_features(inputs))
        return self.sequence_features(inputs, seen.valid, starts)

    def starts(self, segments: Observed) -> Starts:
        """The states of the feature network where it enters each segment: leaves [S, B, H]."""
        if self.conditioning.direction == "none":
            return []
        return self.sequence_features.starts(
            lambda seen: (self._encode(seen), seen.valid), segments, segments.valid.shape[-1]
        )

    def _encode(self, seen):
        standard = jnp.asarray(self.observation_mean), jnp.asarray(self.observation_scale)
        return encoder_inputs(seen, *standard)

    def initial(self, first: Array) -> tuple[Array, Array]:
        """(mean, scale) of q(z_1 | f_1): [B, Z] each."""
        return self.first(first)

    def later(self, rest: Array, z_mean: Array, memory: Array | None) -> tuple[Array, Array]:
        """(mean, scale) of q(. | f_t, z~_t, memory), as far as the conditioning has them."""
        if self.conditioning.latents == "none":
            return self.rest(rest)
        if memory is None:
            return self.rest(rest, z_mean)
        return self.rest(rest, jnp.concatenate([z_mean, memory], axis=-1))

    def start_memory(self, z: Array) -> Array | None:
        """The summary of no states at all, shaped for z [..., Z]."""
        if self.conditioning.latents != "z_1:t-1":
            return None
        return jnp.zeros((*z.shape[:-1], self.memory.size), z.dtype)

    def memories(self, z: Array) -> Array | None:
        """The summaries of z_1, z_1:2, ... for z [..., T, Z]: [..., T, H]."""
        if self.conditioning.latents != "z_1:t-1":
            return None
        over_time = jnp.moveaxis(z, -2, 0)
        return jnp.moveaxis(self.memory(over_time, jnp.ones(over_time.shape[:-1], bool)), 0, -2)

    def remember(self, memory: Array | None, z: Array) -> Array | None:
        """The summary of z_1:t-1 from that of z_1:t-2 and z_{t-1}."""
        return None if memory is None else self.memory.step(memory, self.memory.project(z))
