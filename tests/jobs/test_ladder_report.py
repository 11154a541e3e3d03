"""The table and the figures of networks that predict and classify."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvm.data.dataset import Dataset
from rlvm.jobs import figures, ladder_figures, ladder_report
from rlvm.models.autoregressive import AutoregressiveBernoulli
from rlvm.models.distributions import Bernoulli, Independent

LADDER = (("ConvLSTM", 1, 2, (3, 3), "ConvG1", (3, 3)), ("LSTM", None, 2, None, "G1", None))
TAGGER = {"name": "tagger", "num_groups": 3}
BASELINE = (("Conv", 1, 2, (3, 3)), ("LSTM", None, 2, None))


def line(seed=0, error=0.1, layers=LADDER, **changes):
    """The fields of an evaluation that the table reads."""
    model = {"name": "ladder", "layers": layers, "observation": "gaussian"}
    model |= {"decoder_to_encoder": True} | changes.pop("model", {})
    objective = {"task": "next_frame", "prediction_weight": 0.01}
    objective |= {"class_weight": 0.0, "consistency_weight": 0.0}
    objective |= changes.pop("objective", {})
    asked = {"split": "test", "estimator": "exact", "num_examples": 9, "num_samples": None}
    asked |= {"checkpoint": "best:3", "step": 3}
    return {
        "dataset": "frames",
        "model": "ladder",
        "seed": seed,
        "config": {
            "seed": seed,
            "data": changes.pop("data", {}),
            "model": model,
            "objective": objective,
            "train": {"num_steps": 5_000},
        },
        "nll_nats_per_step": 8.25,
        "train_seconds": 60.0,
        "extra": {"class_error": error, "squared_error": 5.0},
        **asked,
        **changes,
    }


def cells(text, row=0):
    return [cell.strip() for cell in text.splitlines()[2 + row].split("|")[1:-1]]


def test_seeds_have_a_student_interval():
    values = np.array([0.10, 0.12, 0.17])
    found = cells(ladder_report.table([line(k, v) for k, v in enumerate(values)]))
    half = 4.302653 * values.std(ddof=1) / np.sqrt(3)  # t of 2 degrees of freedom at 97.5%
    assert found[2] == f"13.00 ± {100 * half:.2f}"
    assert (
        found[3] == "5.00 ± 0.00" and found[4] == "" and found[6] == "n = 9, 3 seeds, 5,000 updates"
    )


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "RLadder"),
        ({"model": {"decoder_to_encoder": False}}, "RLadder, no decoder-to-encoder connections"),
        ({"objective": {"prediction_weight": 0.0}}, "RLadder, no prediction task"),
        ({"objective": {"consistency_weight": 1.0}}, "RLadder, Mean Teacher"),
        ({"data": {"with_validation": True}}, "RLadder, train + validation"),
        ({"layers": tuple(row[:4] for row in LADDER)}, "hierarchical RNN"),
        ({"layers": BASELINE}, "temporal baseline"),
        (
            {"layers": BASELINE, "objective": {"consistency_weight": 1.0}},
            "temporal baseline, Mean Teacher",
        ),
        ({"layers": (("Conv", 1, 2, (3, 3)),)}, "static network"),
        ({"model": TAGGER}, "RTagger, K = 3, no class cost"),
        ({"model": TAGGER, "objective": {"class_weight": 1.0}}, "RTagger, K = 3"),
        (
            {"model": TAGGER, "objective": {"class_weight": 1.0, "segment_weight": 0.1}},
            "RTagger, K = 3, taught masks",
        ),
    ],
)
def test_networks_are_named_by_what_they_have(changes, name):
    assert ladder_report.network(line(**changes)["config"]) == name


def test_music_has_nats_per_frame_and_tagging_an_ami_for_each_iteration():
    music = line(model={"observation": "keys"}, extra={"squared_error": 1.0})
    assert cells(ladder_report.table([music]))[2:6] == ["", "", "8.25", ""]
    found = {"class_error": 0.5, "ami_1": 0.1, "ami_2": 0.25, "ami_kmeans": 0.2, "nll_mean": 3.0}
    tagger = line(model=TAGGER, extra=found)
    tagger["config"]["objective"]["task"] = "denoising"
    assert cells(ladder_report.table([tagger]))[5] == "0.100 0.250 (k-means 0.200)"
    tagger["extra"]["ami_place"] = 0.34
    assert cells(ladder_report.table([tagger]))[5].endswith("(k-means 0.200, usual place 0.340)")


def test_chords_are_music_and_named():
    chords = line(model={"observation": "chords"}, extra={})
    assert cells(ladder_report.table([chords]))[1:5] == [
        "RLadder, keys given lower ones",
        "",
        "",
        "8.25",
    ]


def test_a_prediction_is_shown_by_its_mean_or_by_a_draw():
    logits = jnp.asarray(np.random.default_rng(0).normal(0, 2, (3, 4, 5)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 3)
    mean = ladder_figures.shown(Independent(Bernoulli(logits), 1), keys)
    np.testing.assert_allclose(mean, jax.nn.sigmoid(logits), rtol=1e-5)
    sure = AutoregressiveBernoulli(100.0 * jnp.sign(logits), jnp.zeros((5, 5)))
    np.testing.assert_array_equal(ladder_figures.shown(sure, keys), logits > 0)


def test_published_numbers_stand_below():
    published = {"dataset": "frames", "model": "RLadder", "error_percent": 0.74}
    text = ladder_report.table([line()], [{**published, "source": "a paper", "recalled": True}])
    assert cells(text, 1)[1:7] == ["RLadder", "0.74", "", "", "", "a paper (as recalled)"]


def test_figures_are_drawn(tmp_path):
    draw = np.random.default_rng(0)
    frames, logits = draw.uniform(size=(2, 3, 8, 8)), draw.normal(size=(2, 2, 3, 8, 8, 1))
    roll = (draw.uniform(size=(6, 88)) < 0.1).astype(float)
    log_m = logits - np.log(np.exp(logits).sum(2, keepdims=True))
    batch = {"x": frames[:, 0], "segments": frames[:, 0] > 0.5}
    splits = {"test": {"x": np.uint8(255 * frames)}}
    made = [
        ladder_figures.frames_figure(frames, frames),
        ladder_figures.roll_figure(roll, roll, 5),
        ladder_figures.groups_figure(batch, {"log_m": log_m, "z": logits}),
        ladder_figures.data_figure(Dataset("made", splits, {}, "grey", False)),
    ]
    assert [len(figure.axes) for figure in made] == [2 * 2 * 3, 2, 2 * (2 + 2 * 2), 2 * 3]
    for figure in made:
        figures.save(figure, tmp_path / "F.png")
        assert (tmp_path / "F.png").read_bytes()[:4] == b"\x89PNG"
