"""The Recurrent Ladder against its recursion written out, and its tables."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from rlvm.inference import predictor
from rlvm.jobs import config as configs
from rlvm.jobs import cost
from rlvm.models.ladder import RLadder, build
from rlvm.models.ladder.table import (
    decoder_shapes,
    encoder_shapes,
    parse,
)
from rlvm.nn.conv_lstm import LSTM, ConvLSTM
from rlvm.nn.gates import G1, ConvG2
from rlvm.nn.normalization import update_statistics

RNG = np.random.default_rng(0)
B, T = 3, 4
TINY = (
    ("ConvLSTM", 1, 3, (1, 3), "ConvG2", (1, 3)),
    ("ConvLSTM", 2, 4, (1, 3), "ConvG2", (1, 3)),
    ("AvgPool", 2, None, (1, 2), "G1", None),
    ("LSTM", None, 5, None, "G1", None),
    ("SoftMax", None, 6, None, "Identity", None),
)
SMALL = (
    ("ConvLSTM", 2, 2, (1, 3), "ConvG2", (1, 3)),
    ("LSTM", None, 3, None, "G1", None),
    ("SoftMax", None, 4, None, "Identity", None),
)
SMALL_STATIC = (
    ("ConvLSTM", 2, 2, (3, 3), "ConvG1", (3, 3)),
    ("LSTM", None, 3, None, "G1", None),
    ("SoftMax", None, 4, None, None, None),
)
BOTTOM_UP = (
    ("ConvLSTM", 1, 2, (3, 3), "ConvG3", (3, 3)),
    ("Conv", 1, 3, (3, 3), "ConvG3", (3, 3)),
    ("MaxPool", 2, None, (2, 2), "G1", None),
    ("LSTM", None, 4, None, "G1", None),
    ("SoftMax", None, 3, None, None, None),
)


def rolls(num_keys=11):
    x = (RNG.uniform(size=(B, T, num_keys)) < 0.3).astype(np.float32)
    return {"x": jnp.asarray(x), "mask": jnp.ones(B)}


def images():
    x = RNG.uniform(size=(B, T, 7, 7)).astype(np.float32)
    return {"x": jnp.asarray(x), "mask": jnp.ones(B)}


def initialized(model, batch, seed=0):
    """Random variables, none at the special values that init would give it."""
    shapes = jax.eval_shape(lambda key: model.init(key, None, batch), jax.random.key(0))
    noise = np.random.default_rng(seed)
    params = jax.tree.map(
        lambda a: jnp.asarray(0.4 * noise.normal(size=a.shape), jnp.float32), shapes["params"]
    )
    stats = jax.tree.map(
        lambda a: jnp.asarray(noise.uniform(0.5, 1.5, a.shape), jnp.float32),
        shapes.get("batch_stats", {}),
    )
    return {"params": params, "batch_stats": stats}


def written_out(model, variables, x):
    """Logits and d_0 for TINY, each connection by hand, the cells applied one by one."""
    p = variables["params"]["iteration"]

    def cell(module, name, *args):
        return module.apply({"params": p[name]}, *args)

    def zero(*shape):
        return jnp.zeros((B, *shape))

    s1, s2, s4 = ((zero(*s),) * 2 for s in ((1, 11, 3), (1, 6, 4), (5,)))
    d = [zero(1, 11, 1), zero(1, 11, 3), zero(1, 6, 4), zero(1, 3, 4), zero(6)]
    logits, frames = [], []
    for t in range(T):
        e0 = x[:, t].reshape(B, 1, 11, 1)
        level = [(k,) if model.decoder_to_encoder else () for k in d]
        below = [(k,) if model.diagonal else () for k in d]
        past = [(k,) if model.recurrent_decoder else () for k in d]
        s1 = cell(ConvLSTM(3, (1, 3)), "encoder_1", s1, (e0, *below[0]), level[1])
        s2 = cell(ConvLSTM(4, (1, 3), 2), "encoder_2", s2, (s1[1], *below[1]), level[2])
        e3 = s2[1].reshape(B, 3, 2, 4).mean(2).reshape(B, 1, 3, 4)
        s4 = cell(LSTM(5), "encoder_4", s4, (e3, *below[3]), level[4])
        logit = s4[1] @ p["encoder_5"]["kernel"] + p["encoder_5"]["bias"]
        d4 = jax.nn.softmax(logit)
        d3 = cell(G1("layer"), "decoder_3", d4, e3, past[3])
        d2 = cell(G1("layer"), "decoder_2", d3, s2[1], past[2])
        d1 = cell(ConvG2((1, 3), 2), "decoder_1", d2, s1[1], past[1])
        d0 = cell(ConvG2((1, 3)), "decoder_0", d1, e0, past[0])
        d = [d0, d1, d2, d3, d4]
        logits.append(logit)
        frames.append(d0.reshape(B, 11))
    return jnp.stack(logits, 1), jnp.stack(frames, 1)


@pytest.mark.parametrize(
    "options",
    [{}, {"recurrent_decoder": True, "diagonal": True, "decoder_to_encoder": False}],
)
def test_the_scan_is_the_recursion(options):
    model = RLadder(parse(TINY), (1, 11, 1), **options)
    batch = rolls()
    variables = initialized(model, batch)
    _, outputs = jax.jit(lambda v: model.apply(v, None, batch))(variables)
    logits, frames = jax.jit(lambda v: written_out(model, v, batch["x"]))(variables)
    np.testing.assert_allclose(outputs["logits"], logits, atol=1e-5)
    np.testing.assert_allclose(outputs["prediction"].mean(), frames, atol=1e-5)


def test_carry_continues_where_the_frames_stopped():
    model = RLadder(parse(SMALL), (1, 11, 1), diagonal=True, recurrent_decoder=True)
    batch = rolls()
    variables = initialized(model, batch)
    run = jax.jit(lambda carry, x: model.apply(variables, carry, {**batch, "x": x}))
    carry = model.initial_carry(jax.random.split(jax.random.key(0), B), batch)
    _, whole = run(carry, batch["x"])
    carry, first = run(carry, batch["x"][:, :2])
    _, second = run(carry, batch["x"][:, 2:])
    parts = jnp.concatenate([first["logits"], second["logits"]], 1)
    np.testing.assert_allclose(parts, whole["logits"], atol=1e-5)


def test_no_frame_sees_a_later_one():
    model = RLadder(parse(SMALL), (1, 11, 1), observation="keys")
    batch = rolls()
    variables = initialized(model, batch)
    run = jax.jit(lambda x: model.apply(variables, None, {**batch, "x": x})[1])
    want, got = run(batch["x"]), run(batch["x"].at[:, 2].set(1.0 - batch["x"][:, 2]))
    np.testing.assert_array_equal(got["logits"][:, :2], want["logits"][:, :2])
    change = np.abs(got["prediction"].distribution.logits - want["prediction"].distribution.logits)
    assert change[:, :2].max() == 0 and change[:, 2].max() > 1e-4 and change[:, 3].max() > 1e-4


def test_the_keys_of_a_chord_see_the_lower_ones_and_all_frames_have_probability_one():
    num_keys = 6
    model = RLadder(parse(SMALL), (1, num_keys, 1), observation="chords")
    batch = rolls(num_keys)
    variables = initialized(model, batch)
    _, outputs = model.apply(variables, None, batch)
    keys = RLadder(parse(SMALL), (1, num_keys, 1), observation="keys")
    _, apart = keys.apply(variables, None, batch)

    kernel = np.asarray(variables["params"]["chords"]["kernel"], np.float64)
    logits = np.asarray(apart["prediction"].distribution.logits, np.float64)
    frames = np.array(list(itertools.product((0.0, 1.0), repeat=num_keys)))
    got = np.stack([outputs["prediction"].log_prob(jnp.asarray(frame)) for frame in frames])
    want = np.zeros_like(got)
    for n, frame in enumerate(frames):
        for key in range(num_keys):
            logit = logits[..., key] + frame[:key] @ kernel[:key, key]
            want[n] += frame[key] * logit - np.logaddexp(0.0, logit)
    np.testing.assert_allclose(got, want, atol=2e-5)
    np.testing.assert_allclose(np.exp(got).sum(axis=0), 1.0, atol=1e-5)

    objective = configs.prediction("next_frame", "nll").objective
    terms = predictor.evaluated(objective)(model.bind(variables), batch, None)
    want = -np.asarray(outputs["prediction"].log_prob(jnp.roll(batch["x"], -1, axis=1)))[:, :-1]
    np.testing.assert_allclose(terms["nll"], want.sum(-1), rtol=1e-5)
    assert "squared_error" not in terms  # a chord has no mean in closed form


def test_static_iterations_have_statistics_of_their_own():
    model = RLadder(parse(BOTTOM_UP), (7, 7, 1), num_iterations=3)
    batch = {"x": images()["x"][:, 0], "mask": jnp.array([1.0, 1.0, 0.0])}
    variables = initialized(model, batch)
    assert {a.shape[0] for a in jax.tree.leaves(variables["batch_stats"])} == {3}
    train = jax.jit(lambda v, b: model.apply(v, None, b, train=True, mutable=["moments"]))
    (_, outputs), moved = train(variables, batch)
    assert outputs["logits"].shape == (B, 3, 3)
    assert outputs["prediction"].batch_shape == (B, 3)
    stats = update_statistics(variables["batch_stats"], moved["moments"], 0.0)
    mean = stats["iteration"]["encoder_2_BN"]["mean"]
    assert float(jnp.abs(mean[0] - mean[1]).max()) > 1e-4
    # The running statistics of this batch normalise its real examples as its own moments did.
    evaluate = jax.jit(lambda s: model.apply({**variables, "batch_stats": s}, None, batch))
    _, again = evaluate(stats)
    np.testing.assert_allclose(again["logits"][:2], outputs["logits"][:2], atol=1e-4)
    # Padding changes nothing for the others.
    other = {**batch, "x": batch["x"].at[2].set(0.5)}
    np.testing.assert_allclose(train(variables, other)[0][1]["logits"][:2], outputs["logits"][:2])


def test_frames_past_the_end_do_not_reach_the_statistics():
    model = RLadder(parse(SMALL), (1, 11, 1), norm="batch")
    batch = {**rolls(), "lengths": jnp.array([4, 2, 3])}
    variables = initialized(model, batch)
    train = jax.jit(lambda b: model.apply(variables, None, b, train=True, mutable=["moments"])[1])
    changed = {**batch, "x": batch["x"].at[1, 2:].set(1.0).at[2, 3].set(1.0)}
    for a, b in zip(*(jax.tree.leaves(train(c)) for c in (batch, changed)), strict=True):
        np.testing.assert_array_equal(a, b)
    shared = update_statistics(variables["batch_stats"], train(batch)["moments"], 0.9)
    assert jax.tree.map(jnp.shape, shared) == jax.tree.map(jnp.shape, variables["batch_stats"])


def gradient(model, variables, batch):
    """(gradient of the logits' sum of squares, the statistics moved), and temporary bytes."""

    def cost(params):
        held = {**variables, "params": params}
        (_, outputs), kept = model.apply(held, None, batch, train=True, mutable=["moments"])
        moved = model.moved_statistics(variables["batch_stats"], kept["moments"], 0.9)
        return jnp.square(outputs["logits"]).sum(), moved

    compiled = jax.jit(jax.grad(cost, has_aux=True)).lower(variables["params"]).compile()
    return compiled(variables["params"]), compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.slow
def test_segments_change_no_number_and_keep_fewer_carries():
    rolls = {"x": jnp.asarray(RNG.uniform(size=(B, 256, 11)) < 0.3, jnp.float32)}
    batch = {**rolls, "mask": jnp.ones(B), "lengths": jnp.array([256, 100, 7])}
    whole, cut = (RLadder(parse(SMALL), (1, 11, 1), norm="batch", segment=n) for n in (0, 16))
    variables = initialized(whole, batch)
    variables["params"] = jax.tree.map(lambda p: p / 4, variables["params"])  # gradients stay small
    (expected, memory), (found, less) = (gradient(m, variables, batch) for m in (whole, cut))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    assert less < 0.7 * memory
    with pytest.raises(ValueError, match="segment=3 does not divide the 256 frames"):
        RLadder(parse(SMALL), (1, 11, 1), segment=3).apply(variables, None, batch, train=True)


@pytest.mark.slow
def test_kept_convolutions_change_no_number_and_are_not_done_again():
    batch = {"x": jnp.asarray(RNG.uniform(size=(B, 3, 11)), jnp.float32), "mask": jnp.ones(B)}
    models = [RLadder(parse(SMALL), (1, 11, 1), keep_convolutions=k) for k in (False, True)]
    variables = {"batch_stats": {}, **initialized(models[0], batch)}

    def loss(params, model):
        (_, outputs), _ = model.apply(
            {**variables, "params": params}, None, batch, train=True, mutable=["moments"]
        )
        return jnp.square(outputs["logits"]).sum()

    grad = jax.grad(loss)
    results = [jax.jit(grad, static_argnums=1)(variables["params"], model) for model in models]
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    again, kept = (cost.operations(lambda p, m=m: grad(p, m), variables["params"]) for m in models)
    once = cost.operations(lambda p: loss(p, models[0]), variables["params"])
    spared = again.matmul_flops - kept.matmul_flops
    assert spared > 0.5 * once.matmul_flops  # the rest are LSTM and G1


def operations(frames, iterations=None):
    """Operations of the lowered gradient of a cost, counted."""
    static = iterations is not None
    rows, size = (SMALL_STATIC, (7, 7, 1)) if static else (SMALL, (1, 11, 1))
    model = RLadder(parse(rows), size, num_iterations=iterations)
    shape = (B, 7, 7) if static else (B, frames, 11)
    batch = {"x": jnp.zeros(shape), "mask": jnp.ones(B)}
    variables = jax.eval_shape(lambda key: model.init(key, None, batch), jax.random.key(0))

    def cost(variables, batch):
        (_, outputs), _ = model.apply(variables, None, batch, train=True, mutable=["moments"])
        return outputs["logits"].sum()

    text = jax.jit(jax.grad(cost)).lower(variables, batch).as_text()
    return text.count(" = ")


def test_the_program_grows_with_neither_frames_nor_iterations():
    assert operations(3) == operations(30)
    assert operations(1, iterations=2) == operations(1, iterations=20)


@pytest.mark.slow
def test_gradients_reach_every_parameter():
    model = RLadder(parse(SMALL), (1, 11, 1), observation="keys", recurrent_decoder=True)
    batch = rolls()
    variables = initialized(model, batch)

    def cost(params):
        held = {**variables, "params": params}
        (_, outputs), _ = model.apply(held, None, batch, train=True, mutable=["moments"])
        return outputs["prediction"].log_prob(batch["x"]).sum() + outputs["logits"].sum()

    grads = jax.jit(jax.grad(cost))(variables["params"])
    silent = [k for k, g in jax.tree_util.tree_leaves_with_path(grads) if not jnp.any(g != 0)]
    assert not silent


def test_hierarchical_rnn_has_no_decoder():
    model = RLadder(parse([row[:4] for row in BOTTOM_UP]), (7, 7, 1))
    batch = images()
    shapes = jax.eval_shape(lambda k: model.init(k, None, batch), jax.random.key(0))
    assert not any(name.startswith("decoder") for name in shapes["params"]["iteration"])
    _, outputs = jax.eval_shape(lambda v: model.apply(v, None, batch), shapes)
    assert set(outputs) == {"logits"}


def test_level_sizes_of_a_piano_roll():
    rows = [("ConvLSTM", s, c, (1, 3)) for s, c in ((1, 32), (2, 64), (2, 96), (2, 128), (2, 160))]
    rows = [(*row, "ConvG2", (1, 3)) for row in rows] + [("AvgPool", 2, None, (1, 2), "G1", None)]
    shapes = encoder_shapes(parse(rows), (1, 88, 1))
    assert [shape[1] for shape in shapes] == [88, 88, 44, 22, 11, 6, 3]
    signal = decoder_shapes(parse(rows), shapes)
    assert [signal[k] for k in range(7)] == list(shapes)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("Cov", 1, 3, (3, 3))], "Row 1: no layer or cell 'Cov'"),
        ([("Conv", 1, 3, (3, 3), "G4", None)], "Row 1: no layer or cell 'G4'"),
        ([("Conv", 1, 3)], "Row 1 has 3 entries"),
        ([("Conv", 1, 3, None)], "Row 1 .Conv. needs a filter"),
        ([("Conv", None, 3, (3, 3))], "Row 1 .Conv. needs a stride"),
        ([("LSTM", None, None, None)], "Row 1 .LSTM. needs a number"),
        ([("LSTM", None, 4, None, "ConvG3", (3, 3))], "Row 1: ConvG3 undoes"),
        ([("Conv", 1, 3, (3, 3), "ConvG3", None)], "Row 1 .ConvG3. needs"),
        ([("Conv", 1, 3, (3, 3)), ("LSTM", None, 4, None, "G1", None)], "Row 1 .Conv. has no dec"),
        ([], "empty"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(rows, message):
    with pytest.raises(ValueError, match=message) as error:
        parse(rows)
    assert "\n" not in str(error.value)


def settings(**changes):
    config = {
        "layers": TINY,
        "frame_shape": (1, 11, 1),
        "num_iterations": 0,
        "observation": "keys",
        "norm": "layer",
        "decoder_to_encoder": True,
        "diagonal": False,
        "recurrent_decoder": False,
    }
    return ConfigDict({**config, **changes}, convert_dict=False)


def test_build_reads_a_config():
    model = build(settings(), rolls())
    assert model.layers == parse(TINY) and model.num_iterations is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_shape": (1, 12, 1)}, r"frames of the data have shape \(11,\)"),
        ({"observation": "poisson"}, "No observation 'poisson'"),
        ({"layers": (("AvgPool", None, None, (1, 2), "Unpool", None),)}, "does not tile"),
        ({"layers": (*TINY[3:4], *TINY[:1])}, "needs a map below"),
    ],
)
def test_build_refuses_what_does_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        build(settings(**changes), rolls())
