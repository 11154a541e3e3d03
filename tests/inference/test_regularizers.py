"""Weight noise and sparsity against closed forms."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from networks import DATA_DIM, binary_vectors, network

from rlvm.inference import objectives, regularizers
from rlvm.jobs import config as configs
from rlvm.jobs import experiment
from rlvm.training.step import make_step


def noise_config(update, examples=4):
    return ConfigDict({"gradient": update, "examples": examples, "initial": 0.1})


def linear_problem(batch_size=5, seed=0):
    """A linear model with squared loss, posterior means and standard deviations of its weights."""
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=(batch_size, 3)), draw.normal(size=batch_size)
    mean, scale = draw.normal(size=3), draw.uniform(0.1, 0.4, 3)
    params = {"w": jnp.asarray(mean), "weight_noise": {"w": jnp.log(scale)}}
    batch = {"x": jnp.asarray(x), "y": jnp.asarray(y), "mask": jnp.ones(batch_size)}
    return batch, params, (x, y, mean, scale)


def squared_error(params, extra, batch, rng):
    error = jnp.square(batch["y"] - batch["x"] @ params["w"]) / 2
    return objectives.masked_mean(error, batch["mask"]), (extra, {"error": error})


def average(function, batch, count):
    """Mean of `function` over the weight noise of `count` steps."""
    steps = jnp.arange(count)
    values = jax.lax.map(lambda step: function({**batch, "step": step}), steps, batch_size=1000)
    return jax.tree.map(lambda v: np.asarray(v).mean(0), values)


def test_weight_cost_is_the_kl_at_the_best_prior():
    draw = np.random.default_rng(0)
    mean, s = draw.normal(0.3, 1, (4, 5)), draw.uniform(0.1, 1, (4, 5))

    def kl(m, variance):
        return np.sum(
            0.5 * np.log(variance) - np.log(s) + ((mean - m) ** 2 + s**2) / variance / 2 - 0.5
        )

    m = mean.mean()
    variance = np.mean(s**2 + (mean - m) ** 2)
    cost = regularizers.weight_cost({"w": jnp.asarray(mean)}, {"w": jnp.log(s)})
    assert float(cost) == pytest.approx(kl(m, variance), rel=1e-5)
    for other in [(m + 0.1, variance), (m, variance * 1.1), (m, variance * 0.9)]:
        assert kl(*other) > float(cost)


def test_gradient_of_the_weight_cost():
    mean, s = np.array([0.5, -1.0, 2.0]), np.array([0.2, 0.3, 0.7])
    variance = np.mean(s**2 + (mean - mean.mean()) ** 2)
    cost = lambda m, log_s: regularizers.weight_cost({"w": m}, {"w": log_s})  # noqa: E731
    to_mean, to_log_scale = jax.grad(cost, (0, 1))(jnp.asarray(mean), jnp.log(s))
    np.testing.assert_allclose(to_mean, (mean - mean.mean()) / variance, rtol=1e-5)
    np.testing.assert_allclose(to_log_scale, s**2 / variance - 1, rtol=1e-5)


def test_expected_loss_of_a_linear_model():
    batch, params, (x, y, mean, scale) = linear_problem()
    noisy = regularizers.weight_noise(squared_error, noise_config("reparameterised"))
    keys = jax.random.split(jax.random.key(0), 5)
    losses = average(lambda b: noisy(params, {}, b, keys)[1][1]["error"], batch, 4_000)
    expected = (y - x @ mean) ** 2 / 2 + (x**2) @ scale**2 / 2
    np.testing.assert_allclose(losses, expected, rtol=0.09)


@pytest.mark.parametrize("update", regularizers.GRADIENTS)
def test_expected_gradients_of_a_linear_model(update):
    batch, params, (x, y, mean, scale) = linear_problem()
    noisy = regularizers.weight_noise(squared_error, noise_config(update))
    keys = jax.random.split(jax.random.key(0), 5)
    gradient = jax.grad(lambda p, b: noisy(p, {}, b, keys)[0])
    grads = average(lambda b: gradient(params, b), batch, 4_000)
    variance = np.mean(scale**2 + (mean - mean.mean()) ** 2)
    to_mean = np.mean((x @ mean - y)[:, None] * x, axis=0) + (mean - mean.mean()) / variance / 4
    curvature = x**2  # d2 loss / dw2, which the reparameterised gradient sees
    if update == "fisher":  # E[g^2] over the noise: (residual^2 + x' S x) x^2
        residual = (y - x @ mean) ** 2 + (x**2) @ scale**2
        curvature = residual[:, None] * x**2
    to_log_scale = scale**2 * np.mean(curvature, axis=0) + (scale**2 / variance - 1) / 4
    np.testing.assert_allclose(grads["w"], to_mean, rtol=0.1, atol=0.03)
    np.testing.assert_allclose(grads["weight_noise"]["w"], to_log_scale, rtol=0.15, atol=0.004)


def test_fisher_gradients_leave_out_padding():
    batch, params, _ = linear_problem()
    keys = jax.random.split(jax.random.key(0), 5)
    padded = {**batch, "mask": jnp.array([1.0, 1, 1, 0, 0]), "step": 0}
    cut = {**jax.tree.map(lambda v: v[:3], batch), "step": 0}
    means, _ = regularizers.split_noise(params)
    full = regularizers.mean_square_gradients(squared_error, means, {}, padded, keys)
    part = regularizers.mean_square_gradients(squared_error, means, {}, cut, keys[:3])
    np.testing.assert_allclose(full["w"], part["w"], rtol=1e-6)


def darn_config(**objective):
    config = configs.load("darn/binarized_mnist:4").unlock()
    config.model.deterministic_units = (3,)
    config.objective.update({"name": "description_length", "estimator": "darn", "num_samples": 1})
    config.objective.update(objective)
    return config


def example(size=4):
    x = binary_vectors(DATA_DIM)[:size].astype(np.float32)
    return {"x": x, "mask": np.ones(size, np.float32)}


@pytest.mark.parametrize("update", regularizers.GRADIENTS)
def test_a_noisy_darn_trains_and_is_evaluated_at_its_means(update):
    config = darn_config(weight_noise={"initial": 0.05, "gradient": update, "examples": 100})
    made = experiment.build(config, example())
    state = made.initial_state()
    means, scales = regularizers.split_noise(state.params)
    assert jax.tree.structure(means) == jax.tree.structure(scales)
    assert all(np.allclose(leaf, np.log(0.05)) for leaf in jax.tree.leaves(scales))
    h = jnp.zeros((4, 4))
    with_noise = made.model.bind({"params": state.params}).prior(example()).log_prob(h)
    without = made.model.bind({"params": means}).prior(example()).log_prob(h)
    np.testing.assert_array_equal(with_noise, without)
    step = jax.jit(make_step(made.objective, made.optimizer, 0.9))
    keys = jax.random.split(jax.random.key(1), 4)
    after, metrics = step(state, example(), keys)
    assert float(metrics["weight_cost"]) > 0 and np.isfinite(float(metrics["loss"]))
    moved = jax.tree.map(lambda a, b: float(jnp.max(jnp.abs(a - b))), state.params, after.params)
    assert min(jax.tree.leaves(moved[regularizers.NOISE])) > 0


def test_unknown_update_is_one_clear_line():
    with pytest.raises(ValueError, match=r"No weight_noise.gradient 'x'. Known: reparam"):
        regularizers.weight_noise(squared_error, noise_config("x"))


def sparsity(weight, target, ramp_steps=0):
    return {"weight": weight, "target": target, "ramp_steps": ramp_steps}


def sparse_objective(*fields):
    model, params = network("factorial_visibles")
    config = configs.base().objective
    config = ConfigDict({**config.to_dict(), "sparsity": sparsity(*fields)})
    plain = objectives.make(config, model)
    return plain, regularizers.regularized(plain, model, config), model, params


@pytest.mark.parametrize(("ramp_steps", "grown"), [(0, 1.0), (10, 0.4), (2, 1.0)])
def test_sparsity_penalty_is_that_of_the_objectives_own_draw(ramp_steps, grown):
    plain, sparse, model, params = sparse_objective(3.0, 0.25, ramp_steps)
    batch, keys = {**example(), "step": 3}, jax.random.split(jax.random.key(3), 4)
    loss, (_, terms) = sparse(params, {}, batch, keys)
    h, _ = (
        model.bind({"params": params})
        .posterior(batch)
        .sample_with(
            lambda logits, noise: (noise < nn.sigmoid(logits)).astype(jnp.float32),
            objectives.sample_keys(keys, 1),
        )
    )
    penalty = grown * 3.0 * 4 * (np.asarray(h)[0].mean(-1) - 0.25) ** 2
    np.testing.assert_allclose(terms["sparsity_penalty"], penalty, rtol=1e-6)
    assert float(loss) == pytest.approx(float(plain(params, {}, batch, keys)[0]) + penalty.mean())


def test_training_meets_the_sparsity_target():
    config = darn_config(sparsity=sparsity(30.0, 0.25))
    config.optimizer.learning_rate = 0.05
    config.train.num_steps = 300
    batch = example(16)
    made = experiment.build(config, batch)
    step = jax.jit(make_step(made.objective, made.optimizer, 0.9))
    state, shares = made.initial_state(), []
    for t in range(300):
        state, metrics = step(state, batch, jax.random.split(jax.random.key(t), 16))
        shares.append(float(metrics["active_share"]))
    assert shares[0] > 0.4
    assert np.mean(shares[-50:]) == pytest.approx(0.25, abs=0.03)


def test_sparsity_without_a_gradient_through_the_units_is_refused():
    config = darn_config(sparsity=sparsity(1.0, 0.1), name="iwae", estimator="vimco", num_samples=2)
    with pytest.raises(ValueError, match="which 'vimco' does not"):
        experiment.build(config, example())


def test_sparsity_of_a_density_is_refused():
    config = ConfigDict({"sparsity": sparsity(1.0, 0.1), "estimator": "darn"})
    with pytest.raises(ValueError, match="Sparsity needs a LatentVariable; Dense is none"):
        regularizers.regularized(squared_error, nn.Dense(1), config)
