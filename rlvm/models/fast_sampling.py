"""fDARN's sampler, whose work is in proportion to the units that are active (sec. 2.3).

With a decoder linear in h and independent visibles an inactive unit costs nothing: an active one
adds its row of the prior's kernel to the later units and its row of the decoder to the visibles.
"""

import flax.struct
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.models.autoregressive import uniforms
from rlvm.types import Array


@flax.struct.dataclass
class LinearDecoder:
    """Prior and decoder of a one-layer fDARN as arrays."""

    prior_logits: Array  # [H]
    prior_kernel: Array  # [H, H]
    logits: Array  # [D]
    kernel: Array  # [H, D]


def applies(config: ConfigDict) -> bool:
    """Whether a config's `model` is one that `linear_decoder` takes."""
    linear = config.get("linear_decoder", False) and not config.autoregressive_visibles
    return linear and len(config.stochastic_units) == 1


def linear_decoder(params: dict) -> LinearDecoder:
    """The arrays of a DARN with `linear_decoder`, one stochastic layer and independent visibles."""
    visibles = params["visibles"]
    if visibles.keys() != {"Dense_0"} or "priors_1" in params:
        raise ValueError(
            "The fast sampler needs one stochastic layer, model.linear_decoder=True and "
            f"model.autoregressive_visibles=False; the decoder has {', '.join(visibles)}."
        )
    prior, dense = params["priors_0"], visibles["Dense_0"]
    kernel = jnp.triu(prior["AutoregressiveKernel_0"]["kernel"], 1)
    return LinearDecoder(prior["bias"], kernel, dense["bias"], dense["kernel"])


def sample_active(decoder: LinearDecoder, rng: Array) -> tuple[Array, Array, Array]:
    """h [B, H], x [B, D] and the multiplications [B] of each draw, one draw for each key [B].

    Each active unit costs n_h + n_x multiplications, so a draw costs n_s (n_x + n_h). Draws are
    made one after another: side by side a compiler would compute both branches for all.
    """
    num_hidden, num_visible = decoder.kernel.shape

    def draw(key):
        noise = uniforms(key, num_hidden + num_visible)

        def active(carry, rows):
            logits, visible, count = carry
            return logits + rows[0], visible + rows[1], count + num_hidden + num_visible

        def unit(carry, inputs):
            index, u, rows = inputs
            h = u < jax.nn.sigmoid(carry[0][index])
            return jax.lax.cond(h, active, lambda carry, _: carry, carry, rows), h

        start = (decoder.prior_logits, decoder.logits, jnp.zeros((), jnp.int32))
        rows = (decoder.prior_kernel, decoder.kernel)
        inputs = (jnp.arange(num_hidden), noise[:num_hidden], rows)
        (_, logits, count), h = jax.lax.scan(unit, start, inputs)
        x = noise[num_hidden:] < jax.nn.sigmoid(logits)
        return h.astype(jnp.float32), x.astype(jnp.float32), count

    return jax.lax.map(draw, rng)
