"""Pictures: samples as boards or images, training curves."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def pyplot():
    """Matplotlib without a screen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def save(figure, path: str) -> None:
    """Write a figure, making its folder."""
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot().close(figure)


def pixels(figure) -> np.ndarray:
    """A figure as bytes [H, W, 3]."""
    figure.canvas.draw()
    drawn = np.array(figure.canvas.buffer_rgba())[..., :3]
    pyplot().close(figure)
    return drawn


def draw_samples(
    arrays: Mapping[str, np.ndarray], dataset: str, path: str, kind: str = "binary"
) -> None:
    """Write the figure of samples to a file."""
    save(samples_figure(arrays, dataset, kind), path)


def samples_figure(
    arrays: Mapping[str, np.ndarray], dataset: str, kind: str = "binary", count: int = 32
):
    """Samples, each with its nearest training example to the right of it."""
    samples, nearest = arrays["samples"][:count], arrays["nearest_train"][:count]
    columns = 2 * min(8, len(samples))
    rows = math.ceil(2 * len(samples) / columns)
    figure, axes = pyplot().subplots(
        rows, columns, figsize=(0.8 * columns, 0.8 * rows), squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    draw = draw_sequence if kind == "real" else draw_vector
    draw = draw_board if dataset.startswith("connect4") else draw
    for k, pair in enumerate(zip(samples, nearest, strict=True)):
        for side, value in enumerate(pair):
            row, column = divmod(2 * k + side, columns)
            draw(axes[row, column], value)
    figure.suptitle(f"{dataset}: each sample (left) with its nearest training example (right)")
    return figure


def draw_board(axis, vector: np.ndarray) -> None:
    """A Connect-4 position: cells a1..a6, b1..g6, each x, blank or o as one of three bits."""
    cells = vector.reshape(7, 6, 3)
    axis.set_facecolor("#1f5fbf")
    axis.set_axis_on()
    axis.set(xlim=(-0.6, 6.6), ylim=(-0.6, 5.6), xticks=[], yticks=[], aspect="equal")
    for column in range(7):
        for height in range(6):
            axis.add_patch(_disc(column, height, cells[column, height]))


def _disc(column: int, height: int, bits: np.ndarray):
    """Red for x, yellow for o, white for blank, black where the three bits are no one-hot."""
    colors = {(1, 0, 0): "#d7263d", (0, 1, 0): "white", (0, 0, 1): "#f5c518"}
    x, blank, o = (int(bit) for bit in bits)
    color = colors.get((x, blank, o), "black")
    return pyplot().Circle((column, height), 0.4, color=color)


def draw_vector(axis, vector: np.ndarray) -> None:
    """A square image where the length is a square, else one row of pixels."""
    side = math.isqrt(vector.size)
    shape = (side, side) if side * side == vector.size else (1, vector.size)
    axis.imshow(vector.reshape(shape), cmap="gray_r", vmin=0, vmax=1, aspect="auto")


def draw_sequence(axis, sequence: np.ndarray) -> None:
    """Real values over time, or where there are more than one a step, their path from above."""
    axis.plot(*trajectory(sequence), "k-", linewidth=1.0)
    axis.set_aspect("auto" if sequence.shape[-1] == 1 else "equal", adjustable="datalim")


def trajectory(sequence: np.ndarray, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A sequence [T, D] as points to plot: (time, x) where D = 1, else its first two dimensions."""
    if sequence.shape[-1] == 1:
        return start + np.arange(len(sequence)), sequence[:, 0]
    return sequence[:, 0], sequence[:, 1]


def draw_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]], path: str) -> None:
    """Training and validation curves of workdirs: the tightest bound each logs, in nats."""
    figure, axis = pyplot().subplots(figsize=(6, 4))
    lowest = []
    for number, (name, lines) in enumerate(runs.items()):
        for split, style in (("train", ":"), ("valid", "-")):
            keys = [
                f"{split}/{name}"
                for name in ("fivo_bound", "iwae_bound", "description_length", "nll")
            ]
            found = [(line["seconds"], [line[k] for k in keys if k in line]) for line in lines]
            points = [(seconds, values[0]) for seconds, values in found if values]
            if points:
                seconds, values = zip(*points, strict=True)
                axis.plot(seconds, values, style, color=f"C{number}", label=f"{name}, {split}")
                lowest.append(min(values))
    if lowest:
        axis.set_ylim(min(lowest) * 0.98, min(lowest) * 1.25)
    axis.set(xlabel="training seconds", ylabel="nats per example")
    axis.legend()
    save(figure, path)


def draw_sweep(points: Mapping[str, Sequence[tuple[str, float]]], path: str) -> None:
    """Validation value against each field of a sweep, one panel a field."""
    figure, axes = pyplot().subplots(
        1, len(points), figsize=(3 * len(points), 3), sharey=True, squeeze=False
    )
    for axis, (field, pairs) in zip(axes[0], points.items(), strict=True):
        values = sorted({value for value, _ in pairs}, key=_number_first)
        axis.plot([values.index(v) for v, _ in pairs], [y for _, y in pairs], "o", alpha=0.6)
        axis.set_xticks(range(len(values)), values, rotation=90)
        axis.set_xlabel(field)
    axes[0, 0].set_ylabel("validation value")
    save(figure, path)


def _number_first(text: str) -> tuple[float, str]:
    """Sorts numbers by size, before words."""
    try:
        return float(text), ""
    except ValueError:
        return math.inf, text
