import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from rlvm.nn.convolution import DIMENSIONS, convolve

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("size", "taps", "strides", "up"),
    [
        ((1, 11), (1, 3), (1, 2), (1, 1)),
        ((7, 8), (3, 3), (2, 2), (1, 1)),
        ((5, 4), (4, 4), (1, 1), (2, 2)),
        ((3, 3), (2, 3), (1, 1), (3, 3)),
        ((9, 7), (6, 6), (1, 1), (1, 1)),
        ((11, 10), (8, 8), (2, 2), (1, 1)),
        ((4, 3), (6, 6), (1, 1), (2, 2)),
    ],
)
def test_patches_and_gradients_are_those_of_the_convolution(size, taps, strides, up):
    x = jnp.asarray(RNG.normal(size=(2, *size, 3)), jnp.float32)
    kernel = jnp.asarray(RNG.normal(size=(*taps, 3, 4)), jnp.float32)

    def reference(x, kernel):
        if up == (1, 1):
            return lax.conv_general_dilated(
                x, kernel, strides, "SAME", dimension_numbers=DIMENSIONS
            )
        return lax.conv_transpose(x, kernel, up, "SAME", dimension_numbers=DIMENSIONS)

    def ours(x, kernel):
        return convolve(x, kernel, strides, up)

    want, pull_back = jax.vjp(reference, x, kernel)
    got, ours_back = jax.vjp(ours, x, kernel)
    np.testing.assert_allclose(got, want, atol=1e-4)
    cotangent = jnp.asarray(RNG.normal(size=want.shape), jnp.float32)
    for a, b in zip(ours_back(cotangent), pull_back(cotangent), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


def test_other_platforms_get_a_convolution():
    x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 2))
    run = jax.jit(lambda x, k: convolve(x, k, (1, 1), (1, 1)))
    text = {
        p: jax.export.export(run, platforms=[p])(x, kernel).mlir_module() for p in ("cpu", "tpu")
    }
    assert "stablehlo.convolution" in text["tpu"]
    assert "stablehlo.convolution" not in text["cpu"]
