"""fDARN's sampler: the ordinary draws, at a cost that follows the active units."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import network

from rlvm.models.autoregressive import AutoregressiveBernoulli, hard_threshold, uniforms
from rlvm.models.darn import DARN
from rlvm.models.fast_sampling import linear_decoder, sample_active

HIDDEN, VISIBLE = 7, 5


def sparse_darn(bias=-1.0):
    module = DARN(VISIBLE, (HIDDEN,), ((3,),), autoregressive_visibles=False, linear_decoder=True)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), {"x": jnp.zeros((1, VISIBLE))}))
    draw = np.random.default_rng(0)
    params = jax.tree.map(
        lambda s: jnp.asarray(draw.normal(0, 1, s.shape), jnp.float32), shapes["params"]
    )
    params["priors_0"]["bias"] = params["priors_0"]["bias"] + bias
    return module, params


def test_draws_are_those_of_the_model_for_the_same_uniforms():
    module, params = sparse_darn()
    decoder, keys = linear_decoder(params), jax.random.split(jax.random.key(1), 64)
    h, x, _ = jax.jit(sample_active)(decoder, keys)
    noise = uniforms(keys, HIDDEN + VISIBLE)
    prior = AutoregressiveBernoulli(decoder.prior_logits, decoder.prior_kernel)
    expected = prior.sample_from(hard_threshold, noise[:, :HIDDEN])
    np.testing.assert_array_equal(h, expected)
    bound = module.bind({"params": params})
    np.testing.assert_allclose(bound.prior({}).log_prob(h), prior.log_prob(expected), rtol=1e-5)
    logits = bound.likelihood(h, {}).logits
    np.testing.assert_array_equal(x, hard_threshold(logits, noise[:, HIDDEN:]))


@pytest.mark.parametrize("bias", [-50.0, -1.0, 50.0])
def test_multiplications_follow_the_active_units(bias):
    _, params = sparse_darn(bias)
    h, _, count = sample_active(linear_decoder(params), jax.random.split(jax.random.key(1), 16))
    np.testing.assert_array_equal(count, np.asarray(h).sum(-1) * (HIDDEN + VISIBLE))
    assert {-50.0: h.sum() == 0, 50.0: h.sum() == 16 * HIDDEN}.get(bias, 0 < h.mean() < 1)


def test_other_decoders_are_refused():
    with pytest.raises(ValueError, match=r"needs one stochastic layer.*the decoder has"):
        linear_decoder(network("one_layer")[1])
