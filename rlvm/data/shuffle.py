"""Random order without state: a keyed permutation of 0..size-1, one index at a time.

A Feistel network permutes the power of four above `size`; indices that leave the range walk on
until they come back (cycle walking). Batch t of an epoch thus needs neither a table nor history.
"""

import jax
import jax.numpy as jnp

from rlvm.types import Array

ROUNDS = 6


def _mix(x: Array) -> Array:
    """The finalizer of MurmurHash3: every input bit reaches every output bit."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def permute(key: Array, index: Array, size: int) -> Array:
    """Where the permutation of `key` sends `index` (int32, any shape, each in [0, size))."""
    half = max((size - 1).bit_length() + 1, 2) // 2
    low = jnp.uint32((1 << half) - 1)
    round_keys = jax.random.bits(key, (ROUNDS,), jnp.uint32)

    def encrypt(value):
        left, right = value >> half, value & low
        for r in range(ROUNDS):
            left, right = right, left ^ (_mix(right ^ round_keys[r]) & low)
        return (left << half) | right

    def walk(value):
        return jnp.where(value < size, value, encrypt(value))

    start = encrypt(index.astype(jnp.uint32))
    inside = jax.lax.while_loop(lambda value: jnp.any(value >= size), walk, start)
    return inside.astype(jnp.int32)
