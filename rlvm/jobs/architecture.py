"""A DARN's architecture as a diagram: decoder, encoder and both (fig. 1 of its paper)."""

from ml_collections import ConfigDict

from rlvm.jobs import figures
from rlvm.jobs.report import sizes

UNITS = 5  # circles that stand for a layer


def draw_architecture(model: ConfigDict, data_dim: int, path: str) -> None:
    """The three panels for the `model` of a config."""
    layers = [("X", data_dim), *((f"H{k + 1}", n) for k, n in enumerate(model.stochastic_units))]
    inside = {"decoder": [model.get("autoregressive_visibles", True)] + [True] * (len(layers) - 1)}
    inside["encoder"] = [False] + [model.get("autoregressive_encoder", False)] * (len(layers) - 1)
    figure, axes = figures.pyplot().subplots(1, 3, figsize=(11, 0.8 + 0.55 * len(layers)))
    for axis, ways in zip(axes, (("decoder",), ("encoder",), ("decoder", "encoder")), strict=True):
        axis.set(xlim=(-2.2, UNITS + 0.2), ylim=(-0.5, len(layers) - 0.3), aspect="equal")
        axis.set_axis_off()
        axis.set_title(" and ".join(ways))
        for height, (name, count) in enumerate(layers):
            _layer(axis, height, f"{name}: {count}", any(inside[way][height] for way in ways))
        for height in range(len(layers) - 1):
            for way in ways:
                _arrow(axis, height, way)
    between = f"tanh units between layers: {sizes(model.get('deterministic_units', ()))}"
    axes[0].text(-2.1, -0.9, between, fontsize=9)
    figures.save(figure, path)


def _layer(axis, height: int, label: str, autoregressive: bool) -> None:
    """A row of circles; an arc from each to the next where units see those before them."""
    circle = figures.pyplot().Circle
    axis.text(-2.1, height, label, va="center", fontsize=9)
    for k in range(UNITS):
        axis.add_patch(circle((k, height), 0.18, fill=False))
        if autoregressive and k:
            style = {"arrowstyle": "->", "connectionstyle": "arc3,rad=-0.5", "lw": 0.8}
            ends = {"xy": (k - 0.1, height + 0.17), "xytext": (k - 0.9, height + 0.17)}
            axis.annotate("", **ends, arrowprops=style)


def _arrow(axis, height: int, way: str) -> None:
    """From the layer at `height` + 1 down to it (decoder) or from it up (encoder)."""
    x = UNITS / 2 - 0.5 + (0.3 if way == "encoder" else -0.3)
    low, high = (x, height + 0.28), (x, height + 0.72)
    start, end = (low, high) if way == "encoder" else (high, low)
    dashed = "dashed" if way == "encoder" else "solid"
    axis.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "->", "linestyle": dashed})
