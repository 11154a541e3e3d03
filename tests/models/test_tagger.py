"""RTagger: the inputs of a group, the mixture, the classes, and that groups have no order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from ml_collections import ConfigDict

from rlvm.models.ladder.table import parse
from rlvm.models.tagger import Grouping, RTagger, build, class_logits, mixture

RNG = np.random.default_rng(0)
B, K, SIDE = 2, 3, 8
ROWS = (
    ("ConvLSTM", 2, 3, (3, 3), "ConvG1", (3, 3)),
    ("AvgPool", None, None, (4, 4), "Unpool", None),
    ("SoftMax", None, 5, None, "G1", None),
)


def settings(**changes):
    config = {
        "layers": ROWS,
        "frame_shape": (SIDE, SIDE, 1),
        "num_groups": K,
        "num_iterations": 2,
        "norm": "batch",
        "noise": 0.2,
        "data_mean": 0.4,
    }
    return ConfigDict({**config, **changes}, convert_dict=False)


@pytest.fixture(scope="module")
def tagger():
    """A model with random parameters, a batch, and one compiled call of it."""
    batch = {"x": jnp.asarray(RNG.uniform(size=(B, SIDE, SIDE)), jnp.float32), "mask": jnp.ones(B)}
    model = build(settings(), batch)
    shapes = jax.eval_shape(lambda key: model.init(key, None, batch), jax.random.key(0))
    draw = lambda a: jnp.asarray(RNG.uniform(0.1, 0.9, a.shape) - 0.3, jnp.float32)  # noqa: E731
    variables = jax.tree.map(draw, shapes)
    variables["batch_stats"] = jax.tree.map(lambda a: jnp.abs(a) + 0.5, variables["batch_stats"])

    @jax.jit
    def run(carry, x):
        return model.apply(variables, carry, {**batch, "x": x})[1]

    return model, variables, batch, run


def start(model, batch, seed=0):
    return model.initial_carry(jax.random.split(jax.random.key(seed), B), batch)


def test_the_start_is_the_mean_and_a_softmax_of_noise_of_each_example(tagger):
    model, _, batch, _ = tagger
    carry = start(model, batch)
    np.testing.assert_allclose(carry["z"], 0.4)
    np.testing.assert_allclose(jnp.exp(carry["log_m"]).sum(1), 1.0, rtol=1e-5)
    logits = np.asarray(carry["log_m"] - carry["log_m"].mean(1, keepdims=True))
    assert 0.7 < logits.std() * np.sqrt(K / (K - 1)) < 1.3
    keys = jax.random.split(jax.random.key(0), B)
    alone = model.initial_carry(keys[1:], {"x": batch["x"][1:]})
    np.testing.assert_array_equal(alone["log_m"][0], carry["log_m"][1])


def test_roles_are_one_number_a_group_the_same_everywhere():
    batch = {"x": jnp.zeros((B, SIDE, SIDE)), "mask": jnp.ones(B)}
    model = build(settings(initial_masks="roles"), batch)
    carry, other = start(model, batch), start(model, batch, seed=1)
    np.testing.assert_array_equal(carry["log_m"], other["log_m"])
    want = np.exp([2.0, 0.0, -2.0]) / np.exp([2.0, 0.0, -2.0]).sum()
    shape = (B, K, SIDE, SIDE, 1)
    want = np.broadcast_to(want.reshape(1, -1, 1, 1, 1), shape)
    np.testing.assert_allclose(jnp.exp(carry["log_m"]), want, rtol=1e-5)
    np.testing.assert_allclose(carry["z"], 0.4)


def test_permuting_the_groups_permutes_the_groups_alone(tagger):
    model, _, batch, run = tagger
    carry = start(model, batch)
    order = np.array([2, 0, 1])
    moved = {**carry, "log_m": carry["log_m"][:, order]}  # z and the ladder start equal
    want, got = run(carry, batch["x"]), run(moved, batch["x"])
    for name in ("z", "log_m"):
        np.testing.assert_allclose(got[name], want[name][:, :, order], atol=1e-4)
    assert float(jnp.abs(want["log_m"][:, :, 0] - want["log_m"][:, :, 1]).max()) > 1e-3
    np.testing.assert_allclose(got["logits"], want["logits"], atol=1e-4)
    x = batch["x"][:, None]
    np.testing.assert_allclose(
        got["prediction"].log_prob(x), want["prediction"].log_prob(x), rtol=1e-4
    )


def test_a_group_reads_its_image_error_mask_and_likelihood():
    x, z = RNG.uniform(size=(B, 1, 4, 4, 1)), RNG.uniform(size=(B, K, 4, 4, 1))
    m = RNG.dirichlet(np.ones(K), (B, 4, 4)).transpose(0, 3, 1, 2)[..., None]

    class Inputs(nn.Module):
        @nn.compact
        def __call__(self, x, z, log_m):
            return Grouping(parse(ROWS), (4, 4, 1), K, "batch", 0.2, None)._inputs(x, z, log_m)

    arrays = [jnp.asarray(a, jnp.float32) for a in (x, z, np.log(m))]
    variables = Inputs().init(jax.random.key(0), *arrays)
    got = np.asarray(Inputs().apply(variables, *arrays))
    variance = np.exp(-4.0) + 0.2**2
    p = np.exp(-0.5 * (x - z) ** 2 / variance)
    want = np.concatenate([z, m * (x - z), m, p / p.sum(1, keepdims=True)], -1)
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("channels", [None, 1, 2])
def test_the_mixture_is_over_groups_at_every_pixel(channels):
    z = RNG.normal(size=(B, 2, K, 4, 4, channels or 1))
    m = RNG.dirichlet(np.ones(K), (B, 2, 4, 4)).transpose(0, 1, 4, 2, 3)
    x, variance = RNG.normal(size=(B, 1, 4, 4, channels or 1)), np.array([[0.3, 0.3]])
    outputs = {"z": z, "log_m": np.log(m)[..., None], "variance": variance}
    event = (4, 4, channels) if channels else (4, 4)
    found = mixture(jax.tree.map(jnp.asarray, outputs), event)
    got = found.log_prob(jnp.asarray(x.reshape(B, 1, *event)))
    normal = np.exp(-0.5 * (x[:, :, None] - z) ** 2 / 0.3) / np.sqrt(2 * np.pi * 0.3)
    want = np.log((m * normal.prod(-1)).sum(2)).sum((-1, -2))
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_classes_are_summed_over_groups_without_none():
    logits = RNG.normal(size=(B, K, 5))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    want = p[..., :4].sum(1) / p[..., :4].sum((1, 2))[:, None]
    np.testing.assert_allclose(np.exp(class_logits(jnp.asarray(logits))), want, rtol=1e-5)


def test_masks_are_normalised_and_statistics_belong_to_iterations(tagger):
    model, variables, batch, run = tagger
    outputs = run(start(model, batch), batch["x"])
    assert outputs["z"].shape == (B, 2, K, SIDE, SIDE, 1)
    np.testing.assert_allclose(jnp.exp(outputs["log_m"]).sum(2), 1.0, rtol=1e-5)
    assert outputs["logits"].shape == (B, 2, 4) and outputs["variance"].shape == (1, 2)
    assert {a.shape[0] for a in jax.tree.leaves(variables["batch_stats"])} == {2}


def test_padding_does_not_reach_the_others(tagger):
    model, variables, batch, _ = tagger
    carry = start(model, batch)

    @jax.jit
    def train(x):
        held = {"x": x, "mask": jnp.array([1.0, 0.0])}
        return model.apply(variables, carry, held, train=True, mutable=["moments"])

    (_, a), moments = train(batch["x"])
    (_, b), other = train(batch["x"].at[1].set(0.9))
    np.testing.assert_allclose(a["z"][0], b["z"][0], atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, moments, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_shape": (9, 9, 1)}, "frames of the data have shape"),
        ({"layers": tuple(row[:4] for row in ROWS)}, "needs a decoder"),
        ({"initial_masks": "zeros"}, "No initial masks 'zeros'. There are: noise, roles."),
    ],
)
def test_build_refuses_what_does_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        build(settings(**changes), {"x": jnp.zeros((B, SIDE, SIDE))})


def test_the_config_names_the_fields():
    model = build(settings(num_groups=4), {"x": jnp.zeros((B, SIDE, SIDE))})
    assert isinstance(model, RTagger) and model.num_groups == 4 and model.data_mean == 0.4
