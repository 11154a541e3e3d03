"""Draw samples from a trained model, beside the nearest training examples."""

import logging
import pathlib
from collections.abc import Mapping

import jax
import numpy as np
from etils import epath

from rlvm.data.pipeline import stored_one
from rlvm.jobs import figures, workdir
from rlvm.jobs import load as loading
from rlvm.models import fast_sampling

LOG = logging.getLogger(__name__)


def sample(
    path: epath.PathLike,
    num_samples: int = 64,
    seed: int = 0,
    checkpoint: str = "best",
    data_dir: epath.PathLike | None = None,
    manual_dir: epath.PathLike | None = None,
) -> dict[str, np.ndarray]:
    """`samples` [N, ...] and `nearest_train` [N, ...], the training rows at least distance.

    Controls and lengths are those of the first training rows. An fDARN is drawn at a cost that
    follows its active units, and `multiplications` [N] counts it.
    """
    model = loading.load(path, checkpoint)
    train = loading.open_data(model, data_dir, manual_dir).splits["train"]
    return beside_training(model, train, num_samples, seed)


def beside_training(
    model: loading.Model, train: Mapping[str, np.ndarray], num_samples: int, seed: int
) -> dict[str, np.ndarray]:
    """What `sample` returns, for a model in memory."""
    if fast_sampling.applies(model.experiment.config.model):
        arrays = fast_draws(model, num_samples, seed)
    else:
        first = {name: np.asarray(array[:num_samples]) for name, array in train.items()}
        arrays = {"samples": np.asarray(model.sample(num_samples, seed, first))}
    scale = stored_one(model.data["kind"], model.data["binarize"])
    return {**arrays, "nearest_train": nearest(arrays["samples"], train["x"], scale)}


def fast_draws(model: loading.Model, num_samples: int, seed: int) -> dict[str, np.ndarray]:
    """`samples` [N, D] of an fDARN and the `multiplications` [N] that each of them took."""
    decoder = fast_sampling.linear_decoder(model.state.eval_params)
    keys = jax.random.split(jax.random.key(seed), num_samples)
    h, x, count = map(np.asarray, jax.jit(fast_sampling.sample_active)(decoder, keys))
    hidden, visible = decoder.kernel.shape
    active = float(h.sum(-1).mean())
    LOG.info(
        "%.4g multiplications a draw: n_s (n_x + n_h) = %.1f (%d + %d), %.1f%% of units active.",
        *(count.mean(), active, visible, hidden, 100 * active / hidden),
    )
    return {"samples": x, "multiplications": count}


def nearest(samples: np.ndarray, train: np.ndarray, scale: float, block: int = 4096) -> np.ndarray:
    """The row of `train` / `scale` at least mean squared distance, over its observed values."""
    flat = samples.reshape(len(samples), -1)
    best = np.full(len(flat), np.inf)
    rows = np.zeros_like(flat)
    for start in range(0, len(train), block):
        part = np.asarray(train[start : start + block], np.float32).reshape(-1, flat.shape[1])
        part = part / scale
        seen = ~np.isnan(part)
        known = np.where(seen, part, 0.0)
        total = (flat**2) @ seen.T - 2 * flat @ known.T + (known**2).sum(1)
        distance = np.where(seen.any(1), total / np.maximum(seen.sum(1), 1), np.inf)
        index = np.argmin(distance, axis=1)
        value = distance[np.arange(len(flat)), index]
        closer = value < best
        best[closer], rows[closer] = value[closer], part[index[closer]]
    return rows.reshape(samples.shape)


def save(arrays: dict[str, np.ndarray], output: str, figure: str, path: epath.PathLike) -> None:
    """Write the arrays to an .npz and, where asked, draw them."""
    if output:
        pathlib.Path(output).parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(output, allow_pickle=False, **arrays)
    if figure:
        data = workdir.read_data(path)
        figures.draw_samples(arrays, data["name"], figure, data["kind"])
