"""DARN against enumeration and a second implementation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import DATA_DIM, SHAPES, batch_of, binary_vectors, exact_table, network, reference
from scipy import stats

from rlvm.inference.estimators import detached
from rlvm.jobs import config as configs
from rlvm.models import autoregressive, darn
from rlvm.models.autoregressive import AutoregressiveBernoulli, hard_threshold, sample_blocked
from rlvm.models.darn import tanh_widths
from rlvm.models.fvsbn import FVSBN

NAMES = list(SHAPES)


def bound_model(name):
    module, params = network(name)
    return module.bind({"params": params})


def units_of(name):
    return sum(SHAPES[name]["stochastic_units"])


def random_bernoulli(units, seed=0, lead=(), scale=1.0):
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 1, (*lead, units)).astype(np.float32)
    kernel = np.triu(draw.normal(0, scale, (units, units)), 1).astype(np.float32)
    return AutoregressiveBernoulli(jnp.asarray(logits), jnp.asarray(kernel))


@pytest.mark.parametrize("name", NAMES)
def test_distributions_equal_the_unit_by_unit_reference(name):
    (module, params), ref = network(name), reference(name)
    h, x = binary_vectors(units_of(name)), binary_vectors(DATA_DIM)[5]

    @jax.jit
    def log_probs(params, z, batch):
        model = module.bind({"params": params})
        return (
            model.posterior(batch).log_prob(z),
            model.prior(batch).log_prob(z),
            model.likelihood(z, batch).log_prob(batch["x"]),
        )

    z = jnp.asarray(h, jnp.float32)
    q, p, x_given_h = log_probs(params, z, batch_of(np.tile(x, (len(h), 1))))
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(q, [ref.log_q(v, x) for v in h], **close)
    np.testing.assert_allclose(p, [ref.log_prior(v) for v in h], **close)
    np.testing.assert_allclose(x_given_h, [ref.log_likelihood(x, v) for v in h], **close)
    assert np.exp(np.float64(q)).sum() == pytest.approx(1, abs=1e-5)
    assert np.exp(np.float64(p)).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_reference_sums_to_one_over_all_x(name):
    assert np.exp(exact_table(name)).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("autoregressive_units", [True, False])
def test_log_prob_table_equals_pairwise_log_prob(autoregressive_units):
    distribution = random_bernoulli(5, lead=(7,))
    if not autoregressive_units:
        distribution = distribution.replace(kernel=None)
    values = jnp.asarray(binary_vectors(5)[::3], jnp.float32)  # [B, D]
    pairs = AutoregressiveBernoulli(distribution.logits[:, None], distribution.kernel)
    np.testing.assert_allclose(
        distribution.log_prob_table(values), pairs.log_prob(values[None]), atol=1e-5
    )


def test_later_units_never_change_earlier_logits():
    distribution = random_bernoulli(6, lead=(1,))
    value = jnp.asarray([[1.0, 0, 1, 1, 0, 1]])
    jacobian = jax.jacobian(lambda v: distribution.conditional_logits(v)[0])(value)[:, 0]  # [D, D]
    assert np.all(np.triu(jacobian) == 0) and np.all(np.tril(jacobian, -1)[1:].any(axis=1))
    logits = distribution.conditional_logits(value)
    for unit in range(6):
        flipped = value.at[0, unit].set(1 - value[0, unit])
        moved = np.asarray(distribution.conditional_logits(flipped) != logits)[0]
        assert not moved[: unit + 1].any() and (unit == 5 or moved[unit + 1 :].all())


@pytest.mark.parametrize("name", ["one_layer", "skip"])
def test_raw_kernels_below_the_diagonal_are_dead(name):
    """The trained parameter has a lower triangle; neither values nor gradients know it."""
    module, params = network(name)
    batch = batch_of(binary_vectors(DATA_DIM)[3:5])

    def joint(params):
        return module.apply({"params": params}, batch).sum()

    gradients = jax.jit(jax.grad(joint))(params)
    for node, gradient in gradients.items():
        if "AutoregressiveKernel_0" in gradient:
            kernel = gradient["AutoregressiveKernel_0"]["kernel"]
            assert np.all(np.tril(kernel) == 0), node


def draw_unit_by_unit(logits, kernel, noise):
    """Ancestral sampling in float64 NumPy; also the least distance |u - p| of each row."""
    drawn, margin = np.zeros(noise.shape), np.full(noise.shape[:-1], np.inf)
    for j in range(noise.shape[-1]):
        logit = logits[..., j] + drawn[..., :j] @ kernel[:j, j]
        p = 1 / (1 + np.exp(-logit))
        margin = np.minimum(margin, np.abs(noise[..., j] - p))
        drawn[..., j] = noise[..., j] < p
    return drawn, margin


@pytest.mark.parametrize("units", [1, 8, 17, 150])
def test_blocked_sampler_equals_unit_by_unit(units):
    draw = np.random.default_rng(units)
    distribution = random_bernoulli(units, units, (3,), scale=0.5)
    noise = draw.uniform(size=(200, 3, units)).astype(np.float32)
    ours = jax.jit(lambda u: distribution.sample_from(hard_threshold, u))(noise)
    logits, kernel = np.float64(distribution.logits), np.float64(distribution.kernel)
    theirs, margin = draw_unit_by_unit(
        np.broadcast_to(logits, noise.shape), kernel, np.float64(noise)
    )
    clear = margin > 1e-5
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(np.asarray(ours)[clear], theirs[clear])


@pytest.mark.parametrize("block", [1, 3, 12, 24])
def test_any_block_size_draws_the_same(block):
    distribution = random_bernoulli(12, 2, (50,))
    noise = jnp.asarray(np.random.default_rng(1).uniform(size=(50, 12)), jnp.float32)
    draw = [
        jax.jit(sample_blocked, static_argnums=(0, 4))(
            hard_threshold, distribution.logits, distribution.kernel, noise, size
        )
        for size in (block, 4)
    ]
    np.testing.assert_array_equal(*draw)


def test_sample_with_returns_log_prob_at_the_drawn_value():
    batch, keys = batch_of(binary_vectors(DATA_DIM)), jax.random.split(jax.random.key(1), (5, 16))

    @jax.jit
    def draw(batch, keys):
        posterior = bound_model("three_layers").posterior(batch)
        z, log_q = posterior.sample_with(detached, keys)
        return z, log_q, posterior.log_prob(z)

    z, log_q, log_prob = draw(batch, keys)
    assert z.shape == (5, 16, 4) and log_q.shape == (5, 16)
    np.testing.assert_allclose(log_q, log_prob, rtol=1e-6)


def test_noise_belongs_to_the_example():
    """Rows 3..6 drawn alone equal rows 3..6 of the whole batch."""
    keys, x = jax.random.split(jax.random.key(2), 16), binary_vectors(DATA_DIM)

    @jax.jit
    def draw(x, keys):
        return bound_model("skip").posterior(batch_of(x)).sample(keys)

    whole, part = draw(x, keys), draw(x[3:7], keys[3:7])
    np.testing.assert_array_equal(whole[3:7], part)


def chi_square_p(draws, probabilities):
    """P-value of the draws [N, D] of bits against the probabilities of all 2^D vectors."""
    index = (np.asarray(draws, int) @ (1 << np.arange(draws.shape[-1])[::-1])).ravel()
    counts = np.bincount(index, minlength=len(probabilities))
    return stats.chisquare(counts, probabilities * len(index)).pvalue


@pytest.mark.parametrize("name", ["one_layer", "three_layers", "skip"])
def test_sampled_frequencies_match_enumerated_probabilities(name):
    module, params = network(name)

    @jax.jit
    def sample(keys):
        model = module.bind({"params": params})
        batch, pair = batch_of(np.zeros((1, DATA_DIM))), jax.vmap(jax.random.split)(keys)
        z = model.prior(batch).sample(pair[:, 0])
        x = model.likelihood(z, batch).sample(pair[:, 1])
        return x, model.posterior(batch).sample(keys)

    x, h = sample(jax.random.split(jax.random.key(3), 20_000))
    assert chi_square_p(x, np.exp(exact_table(name))) > 1e-3
    vectors, ref = binary_vectors(units_of(name)), reference(name)
    posterior = np.exp([ref.log_q(v, np.zeros(DATA_DIM)) for v in vectors])
    assert chi_square_p(h, posterior) > 1e-3


def test_chi_square_sees_a_wrong_distribution():
    probabilities = np.exp(exact_table("one_layer"))
    draws = np.random.default_rng(0).integers(0, 2, (20_000, DATA_DIM))
    assert chi_square_p(draws, probabilities) < 1e-6


def test_fvsbn_is_a_density_that_sums_to_one_and_samples_itself():
    model = FVSBN(data_dim=4)
    draw = np.random.default_rng(4)
    params = {
        "bias": jnp.asarray(draw.normal(size=4), jnp.float32),
        "kernel": {"kernel": jnp.asarray(draw.normal(size=(4, 4)), jnp.float32)},
    }
    bound = model.bind({"params": params})
    vectors = binary_vectors(4)
    log_p = np.asarray(bound.log_prob(batch_of(vectors)), np.float64)
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-5)
    for x, value in zip(vectors, log_p, strict=True):
        logits = [params["bias"][j] + x[:j] @ params["kernel"]["kernel"][:j, j] for j in range(4)]
        probability = [
            1 / (1 + np.exp(-a)) if v else 1 / (1 + np.exp(a))
            for v, a in zip(x, logits, strict=True)
        ]
        assert value == pytest.approx(np.log(probability).sum(), abs=1e-5)
    draws = bound.sample(jax.random.split(jax.random.key(5), 20_000))
    assert chi_square_p(draws, np.exp(log_p) / np.exp(log_p).sum()) > 1e-3


def test_uniforms_are_one_row_per_key():
    keys = jax.random.split(jax.random.key(0), (2, 3))
    table = autoregressive.uniforms(keys, 4)
    assert table.shape == (2, 3, 4)
    np.testing.assert_array_equal(table[1, 2], jax.random.uniform(keys[1, 2], (4,)))


def test_tanh_widths():
    assert tanh_widths((8,), (5, 6)) == ((5, 6),)
    assert tanh_widths((8, 4), (5, (6, 7))) == ((5,), (6, 7))
    with pytest.raises(ValueError, match="1 entries for 2 stochastic layers"):
        tanh_widths((8, 4), (5,))


@pytest.mark.parametrize("nade", [0, 4])
def test_a_background_starts_at_the_average_and_adds_to_the_pixels_logits(nade):
    config = configs.load("darn/connect4").unlock().model
    config.update({"stochastic_units": (3,), "deterministic_units": (2,), "visible_nade": nade})
    x = np.array([[0.2, 0.5, 0.9, 0.5, 0.1]] * 2, np.float32)
    batch = {"x": jnp.asarray(x)}
    plain = darn.build(config, batch)
    config.background = True
    module = darn.build(config, batch)
    params = module.init(jax.random.key(0), batch)["params"]
    h = jnp.asarray(binary_vectors(3), jnp.float32)
    got = module.bind({"params": params}).likelihood(h, {}).logits
    without = {name: tree for name, tree in params.items() if name != "average"}
    want = plain.bind({"params": without}).likelihood(h, {}).logits
    np.testing.assert_allclose(got - want, np.tile(np.log(x[0] / (1 - x[0])), (8, 1)), atol=1e-5)


def test_a_background_under_several_orderings_is_refused():
    config = configs.load("darn/connect4").unlock().model
    config.update({"background": True, "orderings": 2})
    with pytest.raises(ValueError, match=r"model.orderings has 2\. Set one of them to 0"):
        darn.build(config, {"x": np.zeros((2, 4))})
