import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvm.nn.scan import scan


def step(h, x):
    h = jnp.tanh(0.9 * h + x)
    return h, (h, 2.0 * x)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("length", "segment"), [(12, 4), (13, 4), (3, 4), (9, 2)])
def test_segments_change_neither_values_nor_gradients(length, segment, reverse):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(length, 3)), jnp.float32)

    def run(x, start, segment):
        last, (h, doubled) = scan(step, start, x, segment, reverse)
        weights = jnp.cos(jnp.arange(length))[:, None]
        return jnp.sum(weights * h) + jnp.sum(last), (last, h, doubled)

    found, expected = (
        jax.value_and_grad(run, argnums=(0, 1), has_aux=True)(x, jnp.ones(3), k)
        for k in (segment, 0)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)


def test_memory_is_of_order_sqrt_t():
    """Steps that keep 64 times their carry: what the backward pass holds, in bytes."""
    wide = jnp.ones((8, 512))

    def wide_step(h, x):
        return jnp.tanh(jnp.tanh(h @ wide) @ wide.T / 512 + x), None

    def temporary(steps, segment):
        loss = lambda x: scan(wide_step, jnp.zeros(8), x, segment)[0].sum()  # noqa: E731
        x = jax.ShapeDtypeStruct((steps, 8), jnp.float32)
        return jax.jit(jax.grad(loss)).lower(x).compile().memory_analysis().temp_size_in_bytes

    assert temporary(256, 0) > 3 * temporary(256, 16)
    assert temporary(1024, 32) < 2.5 * temporary(256, 16)  # plain: four times as much
