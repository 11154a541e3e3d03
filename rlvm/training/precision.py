"""The precision in which matmuls and convolutions are computed.

`bfloat16` reads their inputs in bfloat16 and adds in float32, forward and backward. Parameters,
optimizer, sampling, log probabilities and every sum stay float32: a description length adds up
hundreds of terms, which bfloat16's 8 bits cannot hold.
"""

import jax

from rlvm.types import Objective

# name in the config: JAX's; the platform's own is bfloat16 on TPUs and float32 or TF32 elsewhere
PRECISIONS = {"default": None, "bfloat16": "BF16_BF16_F32", "float32": "F32_F32_F32"}


def in_precision(objective: Objective, name: str) -> Objective:
    """The objective with its matmuls, and those of its gradient, in the named precision."""
    if name not in PRECISIONS:
        raise ValueError(
            f"No train.matmul_precision '{name}'. Precisions: {', '.join(PRECISIONS)}."
        )

    def computed(params, extra, batch, rng):
        with jax.default_matmul_precision(PRECISIONS[name]):
            return objective(params, extra, batch, rng)

    return computed if PRECISIONS[name] else objective
