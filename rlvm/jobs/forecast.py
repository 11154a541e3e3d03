"""Forecast a split from a prefix of each sequence: samples of the futures, and their scores."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np
from etils import epath

from rlvm.data.pipeline import Decoder, evaluation_batches, example_keys
from rlvm.inference import forecast as forecasts
from rlvm.jobs import load as loading

BATCH_SIZE = 50
LEVELS = (0.5, 0.9)
NOISE = 4  # the stream of the seed that forecasts draw from


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked of a forecast."""

    split: str = "test"
    prefix: int = 12
    num_samples: int = 200
    num_particles: int = 1000
    limit: int | None = None
    checkpoint: str = "best"


def forecast(
    path: epath.PathLike,
    request: Request,
    data_dir: epath.PathLike | None = None,
    manual_dir: epath.PathLike | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The scores as a JSON object; and prefix, samples and truth of every sequence.

    Sequences that end with the prefix have no future and are left out.
    """
    model, data = loading.load_state_space(path, request.checkpoint, data_dir, manual_dir)
    rows = longer_than(data.splits[request.split], request.prefix)
    samples = draw(model, rows, Decoder(data.kind, data.binarize), request)
    x = np.asarray(rows["x"][: samples.shape[1]], np.float64)
    arrays = {"prefix": x[:, : request.prefix], "samples": samples, "truth": x[:, request.prefix :]}
    steps = np.arange(request.prefix, x.shape[1])
    lengths = rows["lengths"][: len(x)] if "lengths" in rows else np.full(len(x), x.shape[1])
    future = steps < lengths[:, None]  # [N, T - k]
    scores = score(samples, np.where(future[..., None], arrays["truth"], np.nan), data.kind)
    return {**dataclasses.asdict(request), "num_sequences": len(x), **scores}, arrays


def longer_than(rows, prefix: int) -> dict[str, np.ndarray]:
    """The rows of the sequences that go on after the prefix."""
    forecasts.check_prefix(prefix, rows["x"].shape[1])
    if "lengths" not in rows:
        return dict(rows)
    keep = np.flatnonzero(np.asarray(rows["lengths"]) > prefix)
    if not len(keep):
        raise ValueError(f"No sequence is longer than the prefix of {prefix} steps.")
    return {name: np.asarray(array[keep]) for name, array in rows.items()}


def draw(model: loading.Model, rows, decoder: Decoder, request: Request) -> np.ndarray:
    """Samples of every sequence's future: [S, N, T - k, D]."""
    base = jax.random.fold_in(jax.random.key(model.experiment.config.seed), NOISE)
    sizes = (request.prefix, request.num_samples, request.num_particles)

    @jax.jit
    def compute(variables, rows, positions):
        keys = example_keys(base, positions)
        bound = model.experiment.model.bind(variables)
        return forecasts.forecast(bound, decoder(rows, keys), keys, *sizes)

    size = min(BATCH_SIZE, len(rows["x"]))
    parts = [
        np.asarray(compute(model.variables, batch, positions))[:, mask > 0]
        for batch, mask, positions in evaluation_batches(rows, size, request.limit)
    ]
    return np.concatenate(parts, axis=1)


def score(samples: np.ndarray, truth: np.ndarray, kind: str) -> dict[str, Any]:
    """CRPS, coverage of the central bands, and for real x the log density of the last position.

    `truth` [N, T, D] is NaN where nothing was observed.
    """
    seen = ~np.isnan(truth)
    scores: dict[str, Any] = {"crps": float(forecasts.crps(samples, truth)[seen].mean())}
    for level in LEVELS:
        inside = forecasts.covered(samples, truth, level)[seen]
        scores[f"coverage_{level:.0%}".rstrip("%")] = float(inside.mean())
    if kind == "real":
        scores["final_log_density_nats"] = final_log_density(samples, truth, seen)
    return scores


def final_log_density(samples: np.ndarray, truth: np.ndarray, seen: np.ndarray) -> float | None:
    """Mean log density of each sequence's last fully observed x under a KDE of its samples."""
    whole = np.asarray(np.all(seen, axis=-1))  # [N, T]
    rows = np.flatnonzero(whole.any(axis=1))
    if not len(rows):
        return None
    last = whole.shape[1] - 1 - np.argmax(whole[rows, ::-1], axis=1)
    values = forecasts.kde_log_density(samples[:, rows, last], truth[rows, last])
    return float(values.mean())


def save(arrays: dict[str, np.ndarray], output: str) -> None:
    """Write the arrays to an .npz."""
    pathlib.Path(output).parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(output, allow_pickle=False, **arrays)
