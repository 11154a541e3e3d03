"""The objective of predictors on a network small enough to follow by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from rlvm.inference import mean_teacher, prediction, predictor
from rlvm.jobs import config as configs
from rlvm.models.distributions import Independent, Normal
from rlvm.nn.normalization import BatchNorm, update_statistics

RNG = np.random.default_rng(0)
B, T, D, CLASSES = 4, 5, 6, 3
KEYS = jax.random.split(jax.random.key(1), B)


class Toy(nn.Module):
    """The next frame is a scaled BatchNorm of this one; logits are a linear map of it."""

    @nn.compact
    def __call__(self, carry, batch, train=False):
        x = batch["x"]
        weights = batch["mask"] if train else None
        h = BatchNorm(name="BN")(x, weights)
        outputs = {
            "logits": nn.Dense(CLASSES, name="classes")(h),
            "prediction": Independent(Normal(h, jnp.ones_like(h)), 1),
        }
        return carry, outputs

    def initial_carry(self, rng, batch):
        return jnp.zeros(())

    def moved_statistics(self, batch_stats, moments, decay):
        stacked = jax.tree.map(lambda a: a[None], moments)
        return update_statistics(batch_stats, stacked, decay)


def setting(task="next_frame", **fields):
    config = configs.prediction(task, "nll").objective
    config.update({"class_weight": 1.0, **fields})
    batch = {
        "x": jnp.asarray(RNG.normal(size=(B, T, D)), jnp.float32),
        "mask": jnp.array([1.0, 1.0, 1.0, 0.0]),
        "lengths": jnp.array([5, 3, 4, 5]),
        "y": jnp.array([2, -1, 0, 1]),
    }
    model = Toy()
    variables = predictor.with_teacher(dict(model.init(KEYS[0], None, batch)), config)
    params = jax.tree.map(lambda a: a + 0.3, variables.pop("params"))
    return model, config, params, variables, batch


def by_hand(params, batch):
    """(nll, class cost) of every example, in float64."""
    x, w = np.asarray(batch["x"], float), np.asarray(batch["mask"])[:, None, None]
    mean = (w * x).sum((0, 1)) / (w.sum() * x.shape[1])
    var = (w * (x - mean) ** 2).sum((0, 1)) / (w.sum() * x.shape[1])
    p = jax.tree.map(lambda a: np.asarray(a, float), params)
    h = p["BN"]["scale"] * (x - mean) / np.sqrt(var + 1e-5) + p["BN"]["bias"]
    logits = h @ p["classes"]["kernel"] + p["classes"]["bias"]
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nll, cost = np.zeros(B), np.zeros(B)
    for b in range(B):
        for t in range(1, int(batch["lengths"][b])):
            error = x[b, t] - h[b, t - 1]
            nll[b] += (0.5 * error**2 + 0.5 * np.log(2 * np.pi)).sum()
        if batch["y"][b] >= 0:
            cost[b] = -log_p[b, -1, batch["y"][b]]
    return nll, cost


def test_the_loss_is_the_weighted_sum_over_real_and_labelled_examples():
    model, config, params, extra, batch = setting(prediction_weight=0.1)
    loss, (_, terms) = predictor.predicted(model, config)(params, extra, batch, KEYS)
    nll, cost = by_hand(params, batch)
    np.testing.assert_allclose(terms["nll"], nll, rtol=1e-4)
    np.testing.assert_allclose(terms["class_cost"], cost, rtol=1e-4, atol=1e-6)
    want = 0.1 * nll[:3].mean() + (cost[0] + cost[2]) / 2  # two labels, three real examples
    np.testing.assert_allclose(loss, want, rtol=1e-4)


def test_classification_counts_its_cost_once():
    model, config, params, extra, batch = setting("classification")
    loss, (_, terms) = predictor.predicted(model, config)(params, extra, batch, KEYS)
    _, cost = by_hand(params, batch)
    np.testing.assert_allclose(terms["nll"], cost, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(loss, (cost[0] + cost[2]) / 2, rtol=1e-4)


def test_statistics_move_and_evaluation_reads_them():
    model, config, params, extra, batch = setting(batch_norm_decay=0.0)
    objective = predictor.predicted(model, config)
    _, (moved, terms) = objective(params, extra, batch, KEYS)
    x = np.asarray(batch["x"][:3])
    np.testing.assert_allclose(moved["batch_stats"]["BN"]["mean"], x.mean((0, 1)), atol=1e-5)
    bound = model.bind({"params": params, **moved})
    found = predictor.evaluated(config)(bound, batch, KEYS)
    np.testing.assert_allclose(found["nll"][:3], terms["nll"][:3], rtol=1e-4)


def test_the_teacher_follows_and_is_listened_to():
    model, config, params, extra, batch = setting(
        consistency_weight=2.0, ramp_up_steps=10, noise=0.5, prediction_weight=0.0
    )
    student = jax.tree.map(lambda a: a + 1.0, params)
    loss, (moved, terms) = predictor.predicted(model, config)(student, extra, batch, KEYS)
    ramp = float(mean_teacher.ramp_up(0, 10))
    mean = (terms["class_cost"][0] + terms["class_cost"][2]) / 2
    want = mean + 2.0 * ramp * terms["consistency_cost"][:3].mean()
    np.testing.assert_allclose(loss, want, rtol=1e-5)
    assert float(terms["consistency_cost"].max()) > 1e-4  # another view of another network
    jax.tree.map(np.testing.assert_array_equal, moved["teacher"]["params"], student)  # step 0
    assert float(moved["teacher"]["step"]) == 1.0


def test_the_teacher_is_another_network_than_the_student():
    model, config, params, extra, batch = setting(consistency_weight=1.0)
    objective = predictor.predicted(model, config)
    _, (_, apart) = objective(params, extra, batch, KEYS)
    same = {**extra, "teacher": {**extra["teacher"], "params": params}}
    _, (_, equal) = objective(params, same, batch, KEYS)
    assert float(apart["consistency_cost"].min()) > 1e-5
    np.testing.assert_allclose(equal["consistency_cost"], 0.0, atol=1e-12)


def test_no_gradient_reaches_the_teacher():
    model, config, params, extra, batch = setting(consistency_weight=1.0)

    def loss(teacher):
        held = {**extra, "teacher": {**extra["teacher"], "params": teacher}}
        return predictor.predicted(model, config)(params, held, batch, KEYS)[0]

    grads = jax.grad(loss)(extra["teacher"]["params"])
    assert all(not jnp.any(g) for g in jax.tree.leaves(grads))


def test_noise_and_dropped_values_reach_the_input_alone():
    model, config, params, extra, batch = setting(drop=1.0)
    _, (moved, _) = predictor.predicted(model, config)(params, extra, batch, KEYS)
    np.testing.assert_allclose(moved["batch_stats"]["BN"]["mean"], 0.0, atol=1e-6)


def test_an_unknown_task_is_named():
    model, config, *_ = setting("regression")
    with pytest.raises(ValueError, match=r"No task .regression.\. Tasks: next_frame"):
        predictor.predicted(model, config)


class Masks(nn.Module):
    """Masks of three groups in two iterations, made from the parameters alone."""

    @nn.compact
    def __call__(self, carry, batch, train=False):
        shape = (len(batch["x"]), 2, 3, *batch["x"].shape[1:], 1)
        logits = self.param("masks", nn.initializers.normal(1.0), shape)
        z = jnp.zeros((*shape[:2], *batch["x"].shape[1:]))
        image = Independent(Normal(z, jnp.ones_like(z)), 2)
        return carry, {"log_m": jax.nn.log_softmax(logits, axis=2), "prediction": image}

    def initial_carry(self, rng, batch):
        return jnp.zeros(())


def masks_setting():
    config = configs.prediction("denoising", "nll").objective
    config.update({"prediction_weight": 0.0, "segment_weight": 0.5})
    batch = {
        "x": jnp.zeros((2, 4, 4)),
        "mask": jnp.array([1.0, 0.0]),
        "segments": jnp.asarray(RNG.integers(0, 2, (2, 4, 4)), jnp.uint8),
    }
    params = Masks().init(KEYS[0], None, batch)["params"]
    return config, batch, params


def test_the_cost_of_segments_is_that_of_the_best_naming():
    """Every ordered pair of different groups, pixel by pixel, in float64."""
    log_m = np.log(RNG.dirichlet(np.ones(3), (2, 2, 4, 4)))  # [B, N, H, W, K]
    segments = RNG.integers(0, 2, (2, 4, 4))
    got = prediction.segment_cost(
        jnp.asarray(np.moveaxis(log_m, -1, 2)[..., None], jnp.float32), jnp.asarray(segments)
    )
    for b, n in np.ndindex(2, 2):
        costs = []
        for digit, ground in itertools.permutations(range(3), 2):
            named = np.where(segments[b] == 1, digit, ground)
            costs.append(-np.take_along_axis(log_m[b, n], named[..., None], -1).sum())
        np.testing.assert_allclose(got[b, n], min(costs), rtol=1e-5)


def test_masks_are_taught_by_their_weight_over_real_examples():
    config, batch, params = masks_setting()
    loss, (_, terms) = predictor.predicted(Masks(), config)(params, {}, batch, KEYS[:2])
    log_m = jax.nn.log_softmax(params["masks"], axis=2)
    want = prediction.segment_cost(log_m, batch["segments"]).mean(-1)
    np.testing.assert_allclose(terms["segment_cost"], want, rtol=1e-6)
    np.testing.assert_allclose(loss, 0.5 * want[0], rtol=1e-6)


def test_masks_need_segments():
    config, batch, params = masks_setting()
    batch.pop("segments")
    message = "The model gives log_m, prediction; the data has x, mask"
    with pytest.raises(ValueError, match=message):
        predictor.predicted(Masks(), config)(params, {}, batch, KEYS[:2])


def test_masks_need_a_tagger():
    model, config, params, extra, batch = setting(segment_weight=0.5)
    with pytest.raises(ValueError, match=r"needs model\.name 'tagger'"):
        predictor.predicted(model, config)(params, extra, batch, KEYS)


def test_one_group_cannot_be_taught_two_segments():
    segments = {"segments": jnp.zeros((2, 4, 4))}
    with pytest.raises(ValueError, match="at least 2 groups"):
        predictor.true_segments({"log_m": jnp.zeros((2, 1, 1, 4, 4, 1))}, segments)


def test_segmentation_scores_each_iteration():
    segments = jnp.asarray(RNG.integers(0, 2, (3, 6, 6)))
    guess = jnp.stack([jnp.zeros((3, 6, 6), int), segments * 2], 1)  # [B, N, H, W]
    log_m = jnp.log(jax.nn.one_hot(guess, 3, axis=2) + 0.01)[..., None]
    terms = predictor.segmentation(log_m, segments)
    np.testing.assert_allclose(terms["ami_1"], 0.0, atol=1e-5)
    np.testing.assert_allclose(terms["ami_2"], 1.0, atol=1e-5)
