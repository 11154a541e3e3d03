"""The tiled DARN: its pixels' autoregression by hand, its likelihood by enumeration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import binary_vectors

from rlvm.inference import objectives
from rlvm.jobs import config as configs
from rlvm.models.autoregressive import hard_threshold
from rlvm.models.tiled_darn import TiledBernoulli, TiledDARN
from rlvm.nn.tiled import window


def random_pixels(image=(4, 5), size=3, period=2, lead=()):
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 1, (*lead, *image)).astype(np.float32)
    kernel = draw.normal(0, 1, (size * size // 2, period, period)).astype(np.float32)
    return TiledBernoulli(jnp.asarray(logits), jnp.asarray(kernel))


def logit_by_hand(model, image, i, j, size=3):
    """Bias and the weighted pixels before (i, j) within the window, in float64."""
    total, margin = float(model.logits[i, j]), size // 2
    kernel = np.asarray(model.kernel, np.float64)
    for k, (down, right) in enumerate(window(size)[: size * size // 2] - margin):
        row, column = i + down, j + right
        if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
            total += image[row, column] * kernel[k, i % kernel.shape[1], j % kernel.shape[2]]
    return total


def test_log_prob_and_draws_pixel_by_pixel():
    model, draw = random_pixels(), np.random.default_rng(1)
    noise, image = draw.random((4, 5)), np.zeros((4, 5))
    log_p = 0.0
    for i in range(4):
        for j in range(5):
            logit = logit_by_hand(model, image, i, j)
            image[i, j] = noise[i, j] < 1 / (1 + np.exp(-logit))
            log_p += image[i, j] * logit - np.logaddexp(0, logit)
    ours = model.sample_from(hard_threshold, jnp.asarray(noise, jnp.float32))
    np.testing.assert_array_equal(ours, image)
    assert float(model.log_prob(jnp.asarray(image, jnp.float32))) == pytest.approx(log_p, rel=1e-5)


def test_probabilities_of_all_images_sum_to_one():
    model = random_pixels(image=(3, 3))
    images = jnp.asarray(binary_vectors(9).reshape(-1, 3, 3), jnp.float32)
    assert float(jnp.exp(model.log_prob(images)).sum()) == pytest.approx(1, abs=1e-5)


def network():
    module = TiledDARN(
        image=(7, 8),
        stochastic_units=(3,),
        layers=((3, 2), (2, 1)),
        features=2,
        period=2,
        visible_size=3,
        visible_period=2,
    )
    x = jnp.asarray(np.random.default_rng(2).integers(0, 2, (5, 7, 8)), jnp.float32)
    batch = {"x": x, "mask": jnp.ones(5), "step": 0}
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), batch))
    draw = np.random.default_rng(0)
    params = jax.tree.map(
        lambda s: jnp.asarray(draw.normal(0, 0.5, s.shape), jnp.float32), shapes["params"]
    )
    return module, params, batch


def test_every_parameter_learns_from_the_description_length():
    module, params, batch = network()
    objective = objectives.make(configs.base().objective, module)
    keys = jax.random.split(jax.random.key(0), 5)
    (loss, (_, terms)), grads = jax.jit(jax.value_and_grad(objective, has_aux=True))(
        params, {}, batch, keys
    )
    assert np.isfinite(float(loss)) and terms["rate"].shape == (5,)
    assert all(float(jnp.abs(g).max()) > 0 for g in jax.tree.leaves(grads))


def test_posterior_samples_broadcast_against_the_batch():
    module, params, batch = network()

    @jax.jit
    def log_prob(z, x):
        return module.bind({"params": params}).likelihood(z, batch).log_prob(x)

    z = jnp.asarray(np.random.default_rng(3).integers(0, 2, (4, 5, 3)), jnp.float32)
    together = log_prob(z, jnp.broadcast_to(batch["x"], (4, 5, 7, 8)))
    each = jnp.stack([log_prob(draw, batch["x"]) for draw in z])
    np.testing.assert_allclose(together, each, rtol=1e-5)
