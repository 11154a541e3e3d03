"""Pictures of what state-space models forecast and draw ("Mind the Gap", figures 2 to 4)."""

from collections.abc import Mapping

import numpy as np
from scipy.stats import gaussian_kde

from rlvm.jobs import figures
from rlvm.types import PyTree

Arrays = Mapping[str, np.ndarray]  # prefix [N, k, D], samples [S, N, T - k, D], truth [N, T - k, D]


def load(path: str) -> dict[str, np.ndarray]:
    """The arrays that `launch/forecast.py` or `launch/digits.py` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def draw_final_positions(forecasts: Mapping[str, Arrays], path: str, count: int = 3) -> None:
    """Figure 2: densities of the last position of `count` sequences, by axis, with the truth.

    One curve a model: a kernel estimate over its samples, each axis by itself.
    """
    truth = next(iter(forecasts.values()))["truth"]
    count, dims = min(count, len(truth)), min(2, truth.shape[-1])
    figure, axes = panels(dims, count)
    for n in range(count):
        for d in range(dims):
            axis, last = axes[d, n], truth[n, -1, d]
            for k, (name, arrays) in enumerate(forecasts.items()):
                samples = arrays["samples"][:, n, -1, d].astype(np.float64)
                low, high = np.quantile(np.append(samples, last), [0.0, 1.0])
                grid = np.linspace(low, high, 200)
                axis.plot(grid, gaussian_kde(samples)(grid), color=f"C{k}", label=name)
            axis.axvline(last, color="black", linestyle="--", label="truth")
            axis.set(xlabel=f"last position, axis {d + 1}", yticks=[])
    axes[0, 0].legend()
    figures.save(figure, path)


def draw_digits(models: Mapping[str, Arrays], path: str, rows: int = 5) -> None:
    """Figure 3: how often each digit is drawn, beside real test images; and some samples."""
    figure, axes = panels(1, 1 + len(models), width=4.0)
    real = next(iter(models.values()))["counts_of_test"]
    bars = {"test": real, **{name: arrays["counts"] for name, arrays in models.items()}}
    width = 0.8 / len(bars)
    for k, (name, counts) in enumerate(bars.items()):
        places = np.arange(len(counts)) + (k - (len(bars) - 1) / 2) * width
        axes[0, 0].bar(places, counts / counts.sum(), width, label=name)
    axes[0, 0].axhline(1 / len(real), color="black", linewidth=0.8, linestyle="--")
    axes[0, 0].set(xlabel="class by the CNN", ylabel="share", xticks=np.arange(len(real)))
    axes[0, 0].legend()
    for axis, (name, arrays) in zip(axes[0, 1:], models.items(), strict=True):
        images = arrays["samples"][: rows * rows]
        side = images.shape[-1]
        sheet = images.reshape(rows, rows, side, side).transpose(0, 2, 1, 3)
        axis.imshow(sheet.reshape(rows * side, rows * side), cmap="gray_r")
        axis.set(title=name, xticks=[], yticks=[])
    figures.save(figure, path)


def draw_futures(
    forecasts: Mapping[str, Arrays], path: str, count: int = 4, futures: int = 20
) -> None:
    """Figure 4: prefix, sampled futures and truth, one row a model; over time or from above."""
    count = min(count, *[len(arrays["truth"]) for arrays in forecasts.values()])
    figure, axes = panels(len(forecasts), count)
    for row, (name, arrays) in zip(axes, forecasts.items(), strict=True):
        row[0].set_ylabel(name)
        for n, axis in enumerate(row):
            draw_one_future(axis, arrays, n, futures)
    figures.save(figure, path)


def draw_one_future(axis, arrays: Arrays, n: int, futures: int) -> None:
    """Sequence number n: sampled futures thin, prefix and truth (dashed) in black."""
    known, k = arrays["prefix"][n], arrays["prefix"].shape[1]
    paths = [(sample, "C0-", 0.6) for sample in arrays["samples"][:futures, n]]
    for future, style, width in [*paths, (arrays["truth"][n], "k--", 1.5)]:
        line = np.concatenate([known[-1:], future])
        axis.plot(*figures.trajectory(line, k - 1), style, linewidth=width, alpha=0.7)
    axis.plot(*figures.trajectory(known), "k-", linewidth=1.5)


def panels(rows: int, columns: int, width: float = 3.2) -> PyTree:
    """(figure, axes [rows, columns])."""
    size = (width * columns, 3.0 * rows)
    return figures.pyplot().subplots(
        rows, columns, figsize=size, squeeze=False, layout="constrained"
    )
