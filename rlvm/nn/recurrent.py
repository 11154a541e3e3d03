"""Gated recurrent units over sequences, with all input projections outside the scan."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from rlvm.nn.scan import scan
from rlvm.types import Array, PyTree

Starts = Sequence[Sequence[Array | None]]  # a state [B, size] for each layer and direction
Read = Callable[[PyTree], tuple[Array, Array]]


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

    def __call__(self, x: Array, mask: Array, start: Array | None = None) -> Array:
        """States after each input, from 0 or `start`: x [T, B, F], mask [T, B] -> [T, B, size]."""

        def step(h, inputs):
            projected, keep = inputs
            h = jnp.where(keep[..., None], self.step(h, projected), h)
            return h, h

        start = jnp.zeros((*x.shape[1:-1], self.size), x.dtype) if start is None else start
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

    def __call__(self, x: Array, mask: Array, starts: Starts | None = None) -> Array:
        """x [T, B, F], mask [T, B] -> [T, B, size or 2 size]; of so many layers as have starts."""
        if starts is None:
            starts = [[None] * len(layer) for layer in self.layers]
        for layer, states in zip(self.layers, starts, strict=False):
            parts = [gru(x, mask, start) for gru, start in zip(layer, states, strict=True)]
            x = jnp.concatenate(parts, axis=-1)
        return x

    def starts(self, read: Read, segments: PyTree, batch_size: int) -> Starts:
        """Each GRU's state where it enters each of S segments, leaves [S, B, size].

        `segments` has leaves [S, L, ...], `read` makes inputs and mask of one. The gradient runs a
        segment again, so that nothing else is kept of it.
        """
        found: list[list[Array]] = []
        for layer in self.layers:
            entered = [self._entered(gru, read, segments, found, batch_size) for gru in layer]
            found = [*found, entered]
        return found

    def _entered(self, gru, read, segments, below, batch_size):
        @jax.checkpoint
        def cross(state, inputs):
            segment, starts = inputs
            x, mask = read(segment)
            states = gru(self(x, mask, starts), mask, state)
            return states[0 if gru.reverse else -1], state

        start = jnp.zeros((batch_size, gru.size))
        return jax.lax.scan(cross, start, (segments, below), reverse=gru.reverse)[1]
