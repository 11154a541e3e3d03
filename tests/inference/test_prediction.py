import jax
import jax.numpy as jnp
import numpy as np

from rlvm.inference import mean_teacher, prediction
from rlvm.models.distributions import Bernoulli, Independent, Normal

RNG = np.random.default_rng(0)


def test_classification_cost_and_error_without_and_with_labels():
    logits = RNG.normal(size=(4, 3))
    labels = np.array([2, -1, 0, 1])
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    want = [-np.log(p[0, 2]), 0.0, -np.log(p[2, 0]), -np.log(p[3, 1])]
    got = prediction.classification_cost(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(got, want, rtol=1e-5)
    wrong = [float(p[i].argmax() != y) if y >= 0 else 0.0 for i, y in enumerate(labels)]
    error = prediction.classification_error(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_array_equal(error, wrong)


def test_next_frame_costs_shift_by_one_and_stop_at_the_end():
    x = (RNG.uniform(size=(2, 4, 5)) < 0.5).astype(np.float32)
    logits = RNG.normal(size=x.shape).astype(np.float32)
    frames = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], np.float32)
    p = 1 / (1 + np.exp(-logits.astype(float)))
    want = np.zeros((2, 3))
    for b, length in enumerate((4, 2)):
        for t in range(1, length):
            q = p[b, t - 1]
            want[b, t - 1] = -(x[b, t] * np.log(q) + (1 - x[b, t]) * np.log(1 - q)).sum()
    got = prediction.next_frame_cost(Independent(Bernoulli(jnp.asarray(logits)), 1), x, frames)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    squares = prediction.squared_error(jnp.asarray(logits), jnp.asarray(x), frames)
    gauss = Independent(Normal(jnp.asarray(logits), jnp.ones_like(logits)), 1)
    nats = prediction.next_frame_cost(gauss, jnp.asarray(x), frames)
    constant = 0.5 * 5 * np.log(2 * np.pi) * (frames[:, 1:] > 0)
    np.testing.assert_allclose(nats, 0.5 * squares + constant, rtol=1e-5)


def test_denoising_cost_scores_the_clean_input_in_every_iteration():
    x, mean = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 4, 3))
    got = prediction.denoising_cost(Independent(Normal(jnp.asarray(mean), 0.7), 1), jnp.asarray(x))
    error = (x[:, None] - mean) / 0.7
    want = (0.5 * error**2 + np.log(0.7) + 0.5 * np.log(2 * np.pi)).sum(-1)
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_corruption_belongs_to_the_example():
    keys = jax.random.split(jax.random.key(0), 6)
    x = jnp.asarray(RNG.normal(size=(6, 50)))
    noisy = prediction.corrupt(x, 0.2, keys)
    np.testing.assert_array_equal(prediction.corrupt(x[4:], 0.2, keys[4:]), noisy[4:])
    assert 0.17 < float(jnp.std(noisy - x)) < 0.23


def test_semi_supervised_weighs_the_mean_over_labelled_examples():
    labels = jnp.array([3, -1, -1, 1])
    terms = {"class_cost": jnp.array([2.0, 0.0, 0.0, 4.0]), "prediction_cost": jnp.ones(4)}
    weights = {"class_cost": 1.0, "prediction_cost": 0.5}
    cost = prediction.semi_supervised(terms, labels, jnp.ones(4), weights)
    np.testing.assert_allclose(cost.mean(), (2.0 + 4.0) / 2 + 0.5)
    mask = jnp.array([1.0, 1.0, 1.0, 0.0])
    cost = prediction.semi_supervised(terms, labels, mask, weights)
    np.testing.assert_allclose(prediction.weighted_mean(cost, mask), 2.0 + 0.5)


def test_teacher_is_the_running_mean_at_first_and_an_average_later():
    students = RNG.normal(size=(6, 3))
    teacher = {"w": jnp.zeros(3)}
    for step, student in enumerate(students[:5]):
        teacher = mean_teacher.update_teacher(teacher, {"w": jnp.asarray(student)}, step, 0.9)
    np.testing.assert_allclose(teacher["w"], students[:5].mean(0), rtol=1e-5)
    later = mean_teacher.update_teacher(teacher, {"w": jnp.asarray(students[5])}, 1000, 0.9)
    np.testing.assert_allclose(
        later["w"], 0.9 * students[:5].mean(0) + 0.1 * students[5], rtol=1e-5
    )


def test_consistency_has_no_gradient_to_the_teacher():
    a, b = jnp.asarray(RNG.normal(size=(2, 4, 3)))
    cost = mean_teacher.consistency_cost(a, b)
    want = np.square(jax.nn.softmax(a) - jax.nn.softmax(b)).sum(-1)
    np.testing.assert_allclose(cost, want, rtol=1e-5)
    grads = jax.grad(lambda s, t: mean_teacher.consistency_cost(s, t).sum(), (0, 1))(a, b)
    assert float(jnp.abs(grads[0]).max()) > 0
    np.testing.assert_array_equal(grads[1], 0)


def test_ramp_up_ends_at_one():
    got = mean_teacher.ramp_up(jnp.array([0, 50, 100, 500]), 100)
    np.testing.assert_allclose(got, [np.exp(-5), np.exp(-1.25), 1, 1], rtol=1e-6)
