"""Gated recurrent units over sequences, with all input projections outside the scan."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rlvm.nn.scan import scan
from rlvm.types import Array


class GRU(nn.Module):
    """h_t = u h_{t-1} + (1-u) tanh(W x_t + r (V h_{t-1} + c)), gates (r, u) = sigmoid(.).

    One matmul with h per step; the products with x are made for all steps at once. Where the mask
    is false the state stays as it was, so that a backward pass starts at the last real step.
    """

    size: int
    reverse: bool = False
    segment: int = 0

    def setup(self):
        """Both gates and the candidate as one kernel each for x and h."""
        self.from_input = nn.Dense(3 * self.size)
        self.recurrent = self.param(
            "recurrent", nn.initializers.orthogonal(), (self.size, 3 * self.size)
        )
        self.recurrent_bias = self.param("recurrent_bias", nn.initializers.zeros, (self.size,))

    def project(self, x: Array) -> Array:
        """The input's part of gates and candidate: [..., 3 size]."""
        return self.from_input(x)

    def step(self, h: Array, projected: Array) -> Array:
        """One update of h [..., size] from a projected input."""
        gates_x, candidate_x = jnp.split(projected, [2 * self.size], axis=-1)
        gates_h, candidate_h = jnp.split(h @ self.recurrent, [2 * self.size], axis=-1)
        reset, update = jnp.split(jax.nn.sigmoid(gates_x + gates_h), 2, axis=-1)
        candidate = jnp.tanh(candidate_x + reset * (candidate_h + self.recurrent_bias))
        return candidate + update * (h - candidate)

    def __call__(self, x: Array, mask: Array) -> Array:
        """States after each input: x [T, B, F], mask [T, B] -> [T, B, size]."""

        def step(h, inputs):
            projected, keep = inputs
            h = jnp.where(keep[..., None], self.step(h, projected), h)
            return h, h

        start = jnp.zeros((*x.shape[1:-1], self.size), x.dtype)
        return scan(step, start, (self.project(x), mask), self.segment, self.reverse)[1]


class RecurrentFeatures(nn.Module):
    """Features f_1:T of a sequence by stacked GRUs, forward, backward or both concatenated.

    `segment` is that of `nn.scan`: how many steps the backward pass keeps at a time.
    """

    size: int
    num_layers: int = 1
    direction: str = "both"  # forward | backward | both
    segment: int = 0

    def setup(self):
        """One GRU for each layer and direction."""
        reverses = {"forward": [False], "backward": [True], "both": [False, True]}[self.direction]
        self.layers = [
            [GRU(self.size, reverse, self.segment) for reverse in reverses]
            for _ in range(self.num_layers)
        ]

    def __call__(self, x: Array, mask: Array) -> Array:
        """x [T, B, F], mask [T, B] -> [T, B, size or 2 size]."""
        for layer in self.layers:
            x = jnp.concatenate([gru(x, mask) for gru in layer], axis=-1)
        return x
