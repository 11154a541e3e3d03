"""The networks of tables 5 to 9 at full size: shapes, parameter counts, lowering."""

import json

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
import synthetic

from rlvm.jobs import config as configs
from rlvm.jobs import experiment as experiments
from rlvm.models.ladder.table import encoder_shapes, parse
from rlvm.training.state import parameter_count
from rlvm.training.step import make_step

OCCLUDED, MUSIC, TEXTURED = (
    configs.module(f"ladder/{name}")
    for name in ("occluded_moving_mnist", "polyphonic_music", "textured_mnist")
)
NETWORKS = [f"ladder/occluded_moving_mnist:{row}" for row in OCCLUDED.ROWS]
NETWORKS += ["ladder/polyphonic_music:nottingham", "ladder/textured_mnist:all_cnn_c"]
NETWORKS += [
    f"ladder/textured_mnist:{row}" for row in ("tagger", "unsupervised", "labels1000", "taught")
]


def experiment(name):
    config = configs.load(name)
    return experiments.build(config, experiments.example_batch(synthetic.dataset(config, 2)))


def counted(rows, frame, norm="layer"):
    """Parameters of a ladder by hand, row by row, from the formulas of appendix A."""
    layers = parse(rows)
    shapes = encoder_shapes(layers, frame)
    size = lambda shape: int(np.prod(shape))  # noqa: E731
    per_norm = 1 if norm == "layer" else 2
    top = max((k for k, layer in enumerate(layers, 1) if layer.decoder), default=0)
    total, signal = 0, {top: shapes[top]}
    for k in range(top - 1, -1, -1):
        kind = layers[k].decoder
        signal[k] = signal[k + 1] if kind == "Identity" else shapes[k]
        if kind == "Unpool":
            signal[k] = (*shapes[k][:2], signal[k + 1][-1])
        h, v = shapes[k][-1], signal[k + 1][-1]
        taps = size(layers[k].decoder_filter or ())
        if kind == "G1":
            n = size(shapes[k])
            total += size(signal[k + 1]) * n + 2 * n + 10 * n
        elif kind == "ConvG1":
            total += taps * v * h + 2 * h + 10 * h
        elif kind == "ConvG2":
            total += 3 * (taps * (v + h) * h + 2 * per_norm * h + h + 5 * h)
        elif kind == "ConvG3":
            u = layers[k].channels or shapes[k][-1]
            total += taps * (v + h) * u + 2 * per_norm * u + u + 3 * (taps * u * h + h)
    for k, layer in enumerate(layers, 1):
        below, c = shapes[k - 1], layer.channels
        taps = size(layer.filter or ())
        if layer.encoder == "Conv":
            total += taps * below[-1] * c + 2 * c
        elif layer.encoder == "ConvLSTM":
            lateral = [signal[k][-1]] if k < top else []
            total += 4 * c * (taps * sum([below[-1], c, *lateral]) + 1)
            total += 4 * c * per_norm * (2 + len(lateral))
        elif layer.encoder == "LSTM":
            lateral = [size(signal[k])] if k < top else []
            total += 4 * c * (size(below) + c + sum(lateral) + 1)
            total += 4 * c * per_norm * (2 + len(lateral))
        elif layer.encoder in ("FC", "SoftMax") and c:
            total += (size(below) + 1) * c
    return total


@pytest.mark.parametrize(
    ("name", "rows", "frame", "heads", "count"),
    [
        ("occluded_moving_mnist:ladder", OCCLUDED.TABLE_5, (32, 32, 1), 0, 4421069),
        ("occluded_moving_mnist:temporal_baseline", OCCLUDED.TABLE_6, (32, 32, 1), 0, 230026),
        ("occluded_moving_mnist:static", OCCLUDED.TABLE_7, (32, 32, 1), 0, 201002),
        ("polyphonic_music", MUSIC.TABLE_8, (1, 88, 1), 88 * 88 + 88, None),
        ("textured_mnist:all_cnn_c", TEXTURED.ALL_CNN_C, (84, 84, 1), 0, 1369268),
        ("textured_mnist:tagger", TEXTURED.TABLE_9, (84, 84, 4), (4 + 1) + 4 + 1, 27214575),
    ],
)
def test_parameter_counts_by_hand(name, rows, frame, heads, count):
    got = parameter_count(experiment(f"ladder/{name}").abstract_state().params)
    norm = "batch" if name == "textured_mnist:tagger" else "layer"
    assert got == counted(rows, frame, norm) + heads
    assert count is None or got == count


@pytest.mark.parametrize(
    ("rows", "frame", "sizes"),
    [
        (OCCLUDED.TABLE_5, (32, 32, 1), [32, 32, 32, 32, 32, 16, 16, 16, 16, 16, 8, 8, 8, 8, 4]),
        (MUSIC.TABLE_8, (1, 88, 1), [88, 88, 44, 22, 11, 6, 3]),
        (TEXTURED.TABLE_9, (84, 84, 4), [84, 42, 42, 42, 21, 21, 21, 11, 11, 11, 6, 1]),
        (TEXTURED.TABLE_9, (96, 96, 4), [96, 48, 48, 48, 24, 24, 24, 12, 12, 12, 6, 1]),
    ],
)
def test_sizes_of_the_levels(rows, frame, sizes):
    shapes = encoder_shapes(parse(rows), frame)
    assert [shape[1] for shape in shapes if len(shape) == 3] == sizes


@pytest.mark.parametrize("side", [80, 97])
def test_a_frame_that_the_pool_cannot_tile_is_refused(side):
    with pytest.raises(ValueError, match=r"Row 11: .* does not tile"):
        encoder_shapes(parse(TEXTURED.TABLE_9), (side, side, 4))


def shape_of(name):
    """Networks that differ in data or weights of the costs alone are lowered once."""
    config = configs.load(name).to_dict()
    objective = {**config["objective"], "prediction_weight": 0, "class_weight": 0, "selects": 0}
    return json.dumps([config["model"], objective], default=str)


@pytest.mark.slow
@pytest.mark.parametrize("name", list({shape_of(n): n for n in reversed(NETWORKS)}.values()))
def test_every_row_of_a_comparison_lowers_for_tpu_and_cuda(name):
    found = experiment(name)
    step = jax.jit(make_step(found.objective, found.optimizer))
    batch = {
        k: jax.ShapeDtypeStruct(v.shape, jnp.asarray(v).dtype) for k, v in found.example.items()
    }
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), len(found.example["mask"])))
    exported = jax.export.export(step, platforms=("tpu", "cuda"))(
        found.abstract_state(), batch, keys
    )
    assert exported.platforms == ("tpu", "cuda")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["occluded_moving_mnist", "polyphonic_music"])
def test_one_step_at_full_size_is_finite(name):
    config = configs.load(f"ladder/{name}")
    data = synthetic.dataset(config, 2)
    found = experiments.build(config, experiments.example_batch(data))
    step = jax.jit(make_step(found.objective, found.optimizer), donate_argnums=0)
    batch = jax.tree.map(jnp.asarray, dict(found.example))
    state, metrics = step(found.initial_state(), batch, jax.random.split(jax.random.key(0), 2))
    assert all(np.isfinite(value) for value in metrics.values())
    assert int(state.step) == 1


def test_other_networks_are_told():
    with pytest.raises(ValueError, match=r"No network 'lader'\. Networks: ladder, temporal_base"):
        configs.load("ladder/occluded_moving_mnist:lader")
