"""What a ladder reads and predicts and how a tagger groups, drawn from workdirs."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from rlvm.data.dataset import Dataset
from rlvm.data.pipeline import Decoder, evaluation_batches, example_keys, stored_one
from rlvm.jobs import experiment as experiments
from rlvm.jobs import figures, load, workdir
from rlvm.types import Array, Predictor, PyTree

PLOTS = ("data", "frames", "groups")
NEEDED = {"frames": "a network that predicts frames", "groups": "a tagger"}
NUM_EXAMPLES, NUM_KEYS = 4, 88
COLORS = np.array([[0.84, 0.15, 0.24], [0.12, 0.37, 0.75], [0.96, 0.77, 0.09]])  # of three groups

Folder = str | os.PathLike | None


def draw(
    plot: str,
    workdirs: Sequence[str],
    path: str,
    data_dir: Folder = None,
    manual_dir: Folder = None,
) -> None:
    """The figure `plot` of the first workdir's data or model, on examples of the test split."""
    if plot == "data":
        data = experiments.load_data(workdir.read_config(workdirs[0]), data_dir, manual_dir)
        return figures.save(data_figure(data), path)
    model = load.load(workdirs[0])
    if not isinstance(model.experiment.model, Predictor):
        raise ValueError(f"--plot={plot} needs a ladder or a tagger; {workdirs[0]} holds neither.")
    found, figure = picture(model, load.open_data(model, data_dir, manual_dir), "test")
    if found != plot:
        raise ValueError(f"--plot={plot} needs {NEEDED[plot]}, not the network of {workdirs[0]}.")
    figures.save(figure, path)


def picture(model: load.Model, data: Dataset, split: str):
    """What a network makes of a split's first examples: ('groups', 'frames' or nothing, figure)."""
    batch, outputs = passed(model, data, split, NUM_EXAMPLES)
    x, predicted = batch["x"], outputs.get("prediction")
    if "log_m" in outputs:
        return ("groups", groups_figure(batch, outputs)) if "segments" in batch else ("", None)
    if predicted is not None and "lengths" in batch:
        return "frames", roll_figure(x[0], predicted[0], int(batch["lengths"][0]))
    if predicted is not None and x.ndim == 4:
        return "frames", frames_figure(x, predicted)
    return "", None


def passed(model: load.Model, data: Dataset, split: str, count: int):
    """A split's first examples, and what the network makes of them, as arrays."""
    rows, _, positions = next(evaluation_batches(data.splits[split], count))
    keys = example_keys(jax.random.key(0), positions)
    batch = Decoder(data.kind, data.binarize)(rows, keys)

    @jax.jit
    def run(variables, batch) -> PyTree:
        bound = model.experiment.model.bind(variables)
        _, outputs = bound(bound.initial_carry(keys, batch), batch)
        if "prediction" in outputs:
            outputs["prediction"] = shown(outputs["prediction"], keys)
        return outputs

    return jax.tree.map(np.asarray, (dict(batch), run(model.variables, batch)))


def shown(predicted: Any, keys: Array) -> Array:
    """The mean of a prediction [B, T, ...], or one draw where the mean has no closed form."""
    if hasattr(predicted, "mean"):
        return predicted.mean()
    num_frames = predicted.logits.shape[1]
    return predicted.sample(jax.vmap(lambda key: jax.random.split(key, num_frames))(keys))


def data_figure(data: Dataset, count: int = 5):
    """Examples of the test split: a roll, rows of frames, or images above their segments."""
    arrays = {name: np.asarray(array[:count]) for name, array in data.splits["test"].items()}
    x = arrays["x"] / stored_one(data.kind, data.binarize)
    if x.shape[-1] == NUM_KEYS:
        return rolls_figure({"a test piece": x[0]}, int(arrays["lengths"][0]))
    if "segments" in arrays:
        rows = np.stack([x, arrays["segments"]])
    else:
        rows = x if x.ndim == 4 else x[None]
    figure, axes = _grid(*rows.shape[:2])
    for place in np.ndindex(rows.shape[:2]):
        _image(axes[place], rows[place])
    return figure


def frames_figure(x: np.ndarray, predicted: np.ndarray):
    """Frames x [B, T, H, W], and below each what was predicted from those before it."""
    count, frames = x.shape[:2]
    figure, axes = _grid(2 * count, frames)
    for example in range(count):
        for t in range(frames):
            _image(axes[2 * example, t], x[example, t])
            if t:
                _image(axes[2 * example + 1, t], predicted[example, t - 1])
    figure.suptitle("Frames, and below them their prediction from the frames before")
    return figure


def roll_figure(x: np.ndarray, predicted: np.ndarray, length: int):
    """A piano roll x [T, 88], and below it the probability of each key given the frames before."""
    shifted = np.concatenate([np.zeros_like(predicted[:1]), predicted[:-1]])
    titles = ("a piece", "probability of each key, given the frames before")
    return rolls_figure(dict(zip(titles, (x, shifted), strict=True)), length)


def rolls_figure(rolls: Mapping[str, np.ndarray], length: int):
    """Piano rolls [T, 88] below each other, over the keys that the first one plays."""
    figure, axes = figures.pyplot().subplots(
        len(rolls), 1, figsize=(8, 2.5 * len(rolls)), sharex=True, squeeze=False
    )
    played = _played(next(iter(rolls.values()))[:length])
    for axis, (title, roll) in zip(axes[:, 0], rolls.items(), strict=True):
        axis.imshow(roll[:length].T, cmap="gray_r", vmin=0, vmax=1, aspect="auto", origin="lower")
        axis.set(title=title, ylabel="key", ylim=played)
    axes[-1, 0].set_xlabel("frame")
    return figure


def _played(x: np.ndarray) -> tuple[float, float]:
    """The range of the keys that are played, with some room."""
    keys = np.flatnonzero(x.any(0))
    return keys[0] - 4.5, keys[-1] + 4.5


def groups_figure(batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]):
    """Image, true segments, then for each iteration the masks in colours and the reconstruction."""
    m, z = np.exp(outputs["log_m"]), outputs["z"]  # [B, N, K, H, W, 1 or C]
    count, iterations, groups = m.shape[:3]
    palette = COLORS[np.arange(groups) % len(COLORS)]
    figure, axes = _grid(count, 2 + 2 * iterations)
    for example in range(count):
        row = axes[example]
        _image(row[0], batch["x"][example])
        _image(row[1], batch["segments"][example].astype(float))
        for n in range(iterations):
            colours = np.einsum("khw,kc->hwc", m[example, n, ..., 0], palette)
            row[2 + 2 * n].imshow(colours)
            _image(row[3 + 2 * n], (m * z)[example, n].sum(0)[..., 0])
    titles = [f"{kind} {n + 1}" for n in range(iterations) for kind in ("groups", "image")]
    for axis, title in zip(axes[0], ["x", "digit", *titles], strict=True):
        axis.set_title(title, fontsize=8)
    return figure


def _grid(rows: int, columns: int):
    """A figure of small axes without ticks."""
    figure, axes = figures.pyplot().subplots(
        rows, columns, figsize=(0.9 * columns, 0.95 * rows), squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes


def _image(axis, values: np.ndarray) -> None:
    axis.imshow(values, cmap="gray", vmin=0, vmax=1)
