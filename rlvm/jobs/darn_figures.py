"""The five figures of "Deep AutoRegressive Networks", drawn from workdirs."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rlvm.data.pipeline import Decoder, evaluation_batches, example_keys
from rlvm.jobs import figures, load
from rlvm.jobs import sample as sampling
from rlvm.jobs.architecture import draw_architecture
from rlvm.models.autoregressive import Hierarchy, split_layers
from rlvm.types import Array, LatentVariable

Folder = str | os.PathLike | None
NUM_SAMPLES, NUM_TOP_SAMPLES = 16, 25
PIXELS_PER_INCH = 90  # of a figure, margins included, that shows every pixel
PLOTS = ("architecture", "samples", "probabilities", "depths", "representation")


def draw(
    plot: str,
    workdirs: Sequence[str],
    path: str,
    data_dir: Folder = None,
    manual_dir: Folder = None,
) -> None:
    """The figure `plot` of these workdirs' models."""
    if plot == "samples":
        blocks = dict(sample_pairs(w, data_dir, manual_dir) for w in workdirs)
        by_bound = dict(sorted(blocks.items(), key=lambda item: item[1][0]))
        draw_blocks({name: images for name, (_, images) in by_bound.items()}, path)
        return
    models = {os.path.basename(os.path.normpath(w)): load.load(w) for w in workdirs}
    for name, model in models.items():
        if not isinstance(model.experiment.model, LatentVariable):
            raise ValueError(f"{name} holds a model without latents; --plot={plot} needs latents.")
    first = next(iter(models.values()))
    if plot == "probabilities":
        draw_blocks({name: probabilities(model) for name, model in models.items()}, path)
    elif plot == "architecture":
        draw_architecture(
            first.experiment.config.model, first.experiment.example["x"][0].size, path
        )
    elif plot == "depths":
        x = test_rows(first, NUM_SAMPLES // 2, data_dir, manual_dir)
        draw_blocks(depths(first, x), path)
    else:
        x = test_rows(first, 1, data_dir, manual_dir)
        draw_representation(representation(first, x), image_of(x)[0], path)


def sample_pairs(workdir: str, data_dir: Folder, manual_dir: Folder):
    """A title and (validation value, samples and their nearest rows of train in turn)."""
    best = float(load.load(workdir).state.best_value)
    arrays = sampling.sample(workdir, NUM_SAMPLES, data_dir=data_dir, manual_dir=manual_dir)
    pairs = np.stack([image_of(arrays["samples"]), image_of(arrays["nearest_train"])], axis=1)
    title = f"{os.path.basename(os.path.normpath(workdir))} ({best:.1f})"
    return title, (best, pairs.reshape(-1, *pairs.shape[2:]))


def image_of(rows: Array | np.ndarray) -> np.ndarray:
    """Rows as images [N, H, W]: vectors of a square length as squares, else as one row."""
    values = np.asarray(rows)
    if values.ndim == 3:
        return values
    side = math.isqrt(values.shape[-1])
    shape = (side, side) if side**2 == values.shape[-1] else (1, -1)
    return values.reshape(len(values), *shape)


def test_rows(model: load.Model, count: int, data_dir: Folder, manual_dir: Folder) -> Array:
    """Rows of the test split, spread over all of it."""
    data = load.open_data(model, data_dir, manual_dir)
    x = data.splits["test"]["x"]
    chosen = {"x": np.asarray(x[np.arange(count) * len(x) // count])}
    rows, _, positions = next(evaluation_batches(chosen, count))
    return Decoder(data.kind, data.binarize)(rows, example_keys(jax.random.key(0), positions))["x"]


def probabilities(model: load.Model) -> np.ndarray:
    """p(x_i = 1 | h) of draws h from the prior, the visibles before i drawn: [N, H, W]."""
    keys = jax.random.split(jax.random.key(0), NUM_SAMPLES)
    h = model.prior().sample(keys)
    likelihood: Any = model.likelihood(h)
    return image_of(jax.nn.sigmoid(likelihood.conditional_logits(likelihood.sample(keys))))


def hierarchy(model: load.Model, x: Array) -> Hierarchy:
    """q(h|x), if its stochastic layers are several."""
    posterior = model.posterior(x)
    if not isinstance(posterior, Hierarchy) or len(posterior.sizes) < 2:
        raise ValueError("This figure needs a model of several stochastic layers.")
    return posterior


def redrawn(model: load.Model, kept: Mapping[int, Array], keys: Array) -> Array:
    """x drawn from the model given its layers `kept`, those above all others: [B, ...]."""
    batch = model.experiment.example
    prior: Any = model.prior()
    drawn = dict(kept)
    for k in prior.order:
        if k not in drawn:
            layer_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, k)
            drawn[k] = prior.conditional(k, drawn).sample(layer_keys)
    h = jnp.concatenate([drawn[k] for k in range(len(prior.sizes))], axis=-1)
    return model.bound.likelihood(h, batch).sample(keys)


def depths(model: load.Model, x: Array) -> dict[str, np.ndarray]:
    """x as the model draws it again from its representation at each depth, and without any.

    Layers from a depth up are what the encoder found, those below are drawn from the decoder.
    """
    posterior, keys = hierarchy(model, x), jax.random.split(jax.random.key(0), len(x))
    layers = split_layers(posterior.sample(keys), posterior.sizes)
    blocks = {"input": image_of(x)}
    for depth in range(len(layers)):
        kept = {k: layers[k] for k in range(depth, len(layers))}
        blocks[f"from layer {depth + 1} up"] = image_of(redrawn(model, kept, keys))
    blocks["nothing kept"] = image_of(redrawn(model, {}, keys))
    return blocks


def representation(model: load.Model, x: Array) -> list[np.ndarray]:
    """Probabilities of each layer below the top [H, W], and draws of the top [draws, units]."""
    posterior, key = hierarchy(model, x), jax.random.key(0)
    layers = split_layers(posterior.sample(jax.random.split(key, 1)), posterior.sizes)
    drawn, shapes = dict(enumerate(layers)), layer_shapes(model, posterior.sizes)
    found = []
    for k in posterior.order[:-1]:
        active = jax.nn.sigmoid(posterior.conditional(k, drawn).logits)[0]
        found.append(np.asarray(active.reshape(shapes[k]).mean(axis=-1)))
    top = posterior.conditional(posterior.order[-1], drawn)
    draws = top.sample(jax.random.split(key, (NUM_TOP_SAMPLES, 1)))[:, 0]
    return [*found, np.asarray(draws)]


def layer_shapes(model: load.Model, sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Rows, columns and features of each stochastic layer."""
    shapes: Callable | None = getattr(model.bound, "layer_shapes", None)
    return shapes() if shapes else [(1, size, 1) for size in sizes]


def draw_blocks(blocks: Mapping[str, np.ndarray], path: str) -> None:
    """Named blocks of images [N, H, W], each as a mosaic, up to five side by side."""
    columns = min(len(blocks), 5)
    rows = math.ceil(len(blocks) / columns)
    mosaics = {name: mosaic(images) for name, images in blocks.items()}
    tallest = max(grid.shape[0] / grid.shape[1] for grid in mosaics.values())
    widest = max(grid.shape[1] for grid in mosaics.values())
    inches = max(3.0, widest / PIXELS_PER_INCH)  # no pixel of a large image is left out
    size = (inches * columns, rows * (inches * tallest + 0.4))
    figure, axes = figures.pyplot().subplots(rows, columns, figsize=size, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (name, grid) in zip(axes.flat, mosaics.items(), strict=False):
        axis.imshow(grid, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(name, fontsize=9)
    figures.save(figure, path)


def mosaic(images: np.ndarray) -> np.ndarray:
    """Images [N, H, W] as one, in an even number of columns, with a grey line between.

    The last row is full where that takes up to twice the columns of a square.
    """
    count, height, width = images.shape
    square = max(2, 2 * math.ceil(math.sqrt(count * height / width) / 2))
    full = (c for c in range(square, 2 * square + 1, 2) if count % c == 0)
    columns = next(full, square)
    rows = math.ceil(count / columns)
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), 0.5)
    for k in range(rows * columns):
        i, j = (k // columns) * (height + 1), (k % columns) * (width + 1)
        canvas[i : i + height, j : j + width] = images[k] if k < count else 0.0
    return canvas


def draw_representation(layers: Sequence[np.ndarray], image: np.ndarray, path: str) -> None:
    """The input at the bottom, each layer's activations above it, draws of the top on top."""
    stages = [*reversed(layers), image]
    titles = [f"layer {k}" for k in range(len(layers), 0, -1)] + ["input"]
    titles[0] += f": {len(layers[-1])} draws"
    figure, axes = figures.pyplot().subplots(len(stages), 1, figsize=(4, 2.6 * len(stages)))
    for axis, stage, title in zip(axes, stages, titles, strict=True):
        axis.imshow(stage, cmap="gray_r", interpolation="nearest", aspect="auto")
        axis.set_axis_off()
        axis.set_title(title, fontsize=9)
    figures.save(figure, path)
