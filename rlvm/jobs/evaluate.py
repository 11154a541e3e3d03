"""Evaluate a workdir's model on a split: one JSON object, and the NLL of every example."""

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.sharding import NamedSharding, PartitionSpec
from scipy import stats
from tqdm import tqdm

from rlvm.data import dataset
from rlvm.data.pipeline import Decoder, evaluation_batches, example_keys
from rlvm.inference import likelihood, particle_filter, predictor, texture_clusters
from rlvm.inference.activity import active_units
from rlvm.inference.contrastive_divergence import EnergyBased
from rlvm.jobs import load as loading
from rlvm.jobs import workdir
from rlvm.training import metrics, sharding
from rlvm.training.state import parameter_count
from rlvm.types import Array, LatentVariable, Predictor, Terms

LOG = logging.getLogger(__name__)

FILTERS = {"particle_filter": False, "guided_filter": True}  # by the posterior, or not
SAMPLED = ("importance", *FILTERS)
ESTIMATORS = ("bound", "exact", *SAMPLED)
BATCH_SIZE = 500
ROWS_PER_DEVICE = 32
SOFTPLUS_PER_SECOND = 2e8
MULTIPLICATIONS_PER_SECOND = 5e10
ABSURD_SECONDS = 3600.0


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked of an evaluation."""

    split: str = "test"
    estimator: str = "bound"
    num_samples: int = 1000
    repeats: int = 10
    limit: int | None = None
    checkpoint: str = "best"


def evaluate(
    path: epath.PathLike,
    request: Request,
    data_dir: epath.PathLike | None = None,
    manual_dir: epath.PathLike | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The evaluation's JSON object; and per example `nll` in nats, with `y` and `lengths` if any.

    `nll` [N] is the description length where only the bound was measured.
    """
    started = time.perf_counter()
    model = loading.load(path, request.checkpoint)
    data = loading.open_data(model, data_dir, manual_dir)
    if request.split not in data.splits:
        raise ValueError(
            f"{data.name} has no split '{request.split}'. Splits: {', '.join(data.splits)}."
        )
    terms = measure(model, data, request)  # name: [repeats, N]
    seconds = time.perf_counter() - started
    result = report(model, data, request, terms, seconds, train_seconds(path, model))
    nll = terms["nll" if "nll" in terms else "description_length"].mean(axis=0)
    arrays = data.splits[request.split]
    beside = {k: np.asarray(arrays[k][: len(nll)]) for k in ("y", "lengths") if k in arrays}
    return dict(metrics.validate(result)), {"nll": nll, **beside}


def measure(model: loading.Model, data: dataset.Dataset, request: Request) -> dict[str, np.ndarray]:
    """Every term of every example, for each repeat: name -> [repeats, N]."""
    estimate, repeats = choose(model, data, request)
    arrays, decoder = data.splits[request.split], Decoder(data.kind, data.binarize)
    base = jax.random.fold_in(jax.random.key(model.experiment.config.seed), 3)

    @jax.jit
    def compute(variables, rows, positions, repeat):
        key = jax.random.fold_in(base, repeat)
        bits, noise = jax.random.split(key)
        batch = decoder(rows, example_keys(bits, positions))
        bound = model.experiment.model.bind(variables)
        return estimate(bound, batch, example_keys(noise, positions))

    size = len(arrays["x"]) if request.limit is None else min(request.limit, len(arrays["x"]))
    by_rows, batch_size = spread(min(BATCH_SIZE, size))
    variables = jax.device_put(model.variables, NamedSharding(by_rows.mesh, PartitionSpec()))
    total = repeats * -(-size // batch_size)
    collected: list[dict[str, np.ndarray]] = []
    with tqdm(total=total, unit="batch", disable=None) as bar:
        for repeat in range(repeats):
            parts = []
            for rows, mask, positions in evaluation_batches(arrays, batch_size, size):
                terms = compute(variables, *jax.device_put((rows, positions), by_rows), repeat)
                parts.append({k: np.asarray(v, np.float64)[mask > 0] for k, v in terms.items()})
                bar.update()
            collected.append({k: np.concatenate([p[k] for p in parts]) for k in parts[0]})
    return {name: np.stack([terms[name] for terms in collected]) for name in collected[0]}


def spread(batch_size: int) -> tuple[NamedSharding, int]:
    """How a batch lies over this process's devices, and its size as a multiple of their number.

    A device is worth its share from ROWS_PER_DEVICE rows on.
    """
    count = max(1, min(len(jax.local_devices()), batch_size // ROWS_PER_DEVICE))
    mesh = sharding.make_mesh(jax.local_devices()[:count], fsdp=1)
    return NamedSharding(mesh, PartitionSpec(sharding.AXES)), -(-batch_size // count) * count


def choose(
    model: loading.Model, data: dataset.Dataset, request: Request
) -> tuple[Callable[..., Terms], int]:
    """The estimator as a function of (bound model, batch, keys), and how often to repeat it."""
    if request.estimator not in ESTIMATORS:
        raise ValueError(
            f"No estimator '{request.estimator}'. Estimators: {', '.join(ESTIMATORS)}."
        )
    module = model.experiment.model
    if isinstance(module, Predictor):
        terms = predictor.evaluated(model.experiment.config.objective)
        if "segments" in data.splits[request.split]:
            place = texture_clusters.usual_place(data.splits["train"]["segments"])
            terms = texture_clusters.beside(terms, place)
        return terms, 1
    if not isinstance(module, LatentVariable):
        return likelihood.density, 1
    if request.estimator == "bound":
        return likelihood.bound, request.repeats
    if request.estimator == "importance":
        importance = functools.partial(likelihood.importance, num_samples=request.num_samples)
        return importance, request.repeats
    if request.estimator in FILTERS:
        require(module, "filter_steps", request.estimator, "a state-space model")
        filtered = functools.partial(
            particle_filter.evidence,
            num_samples=request.num_samples,
            guided=FILTERS[request.estimator],
        )
        return filtered, request.repeats
    require(module, "stochastic_units", request.estimator, "a model of binary units")
    units = sum(module.stochastic_units)
    check_exact_cost(model, data, request, units)
    return functools.partial(exact_terms, units=units), 1


def require(module, attribute: str, estimator: str, kind: str) -> None:
    """Refuse an estimator that the model cannot take."""
    if not hasattr(module, attribute):
        name = type(module).__name__
        raise ValueError(f"--estimator={estimator} needs {kind}; this workdir holds a {name}.")


def exact_terms(model: LatentVariable, batch, keys: Array, units: int) -> Terms:
    """The exact NLL beside one draw of the code lengths."""
    return {**likelihood.bound(model, batch, keys), "nll": likelihood.exact(model, batch, units)}


def check_exact_cost(model, data: dataset.Dataset, request: Request, units: int) -> None:
    """Say how long the enumeration will take; refuse hours of it unless a limit is given."""
    if units > likelihood.MAX_EXACT_UNITS:
        return  # likelihood.exact says what to do
    x = data.splits[request.split]["x"]
    count = min(request.limit or len(x), len(x)) * 2.0**units * x.shape[-1]
    pairwise = model.experiment.model.autoregressive_visibles
    seconds = count / (SOFTPLUS_PER_SECOND if pairwise else MULTIPLICATIONS_PER_SECOND)
    LOG.info("The exact sum over 2^%d latent vectors will take about %.0f s.", units, seconds)
    if seconds > ABSURD_SECONDS and request.limit is None:
        raise ValueError(
            f"The exact likelihood of {len(x)} examples with {units} latents would take about "
            f"{seconds / 3600:.1f} hours; pass --limit=N, or use --estimator=importance."
        )


def train_seconds(path: epath.PathLike, model: loading.Model) -> float | None:
    """Training seconds up to the checkpoint."""
    step = int(model.state.step)
    seconds = [line["seconds"] for line in metrics.read(path) if line["step"] <= step]
    return seconds[-1] if seconds else None


def interval(means: np.ndarray) -> list[float] | None:
    """95% Student-t interval of the mean over repeats: Monte Carlo error alone."""
    if len(means) < 2:
        return None
    half = stats.t.ppf(0.975, len(means) - 1) * np.std(means, ddof=1) / np.sqrt(len(means))
    return [float(np.mean(means) - half), float(np.mean(means) + half)]


def report(
    model: loading.Model,
    data: dataset.Dataset,
    request: Request,
    terms: dict[str, np.ndarray],
    seconds: float,
    trained: float | None,
) -> dict[str, Any]:
    """The JSON object of schema v1."""
    mean = {k: float(np.mean(v)) for k, v in terms.items()}
    nll, size = terms.get("nll"), next(iter(terms.values())).shape[1]
    latent = isinstance(model.experiment.model, LatentVariable)
    estimator = request.estimator if latent else density_estimator(model)
    dims = data.splits[request.split]["x"].shape[-1]
    best = mean["nll"] if "nll" in mean else mean["description_length"]
    steps = num_steps(model, data.splits[request.split], size)
    return {
        "schema": metrics.SCHEMA,
        "dataset": data.name,
        "split": request.split,
        "data_sha256": data.sha256[request.split],
        **model.origin,
        "params": parameter_count(model.state.params),
        "estimator": estimator,
        "num_examples": size,
        "num_steps": steps,
        "num_samples": request.num_samples if estimator in SAMPLED else None,
        "repeats": next(iter(terms.values())).shape[0],
        "nll_nats": mean.get("nll"),
        "nll_nats_mc95": None if nll is None else interval(nll.mean(axis=1)),
        "nll_nats_test_se": None if nll is None else standard_error(nll),
        "bound_nats": mean.get("description_length"),
        "distortion_nats": mean.get("distortion"),
        "rate_nats": mean.get("rate"),
        "bits_per_dim": None if steps else metrics.bits_per_dim(best, dims),
        "nll_nats_per_step": per_step(mean.get("nll"), size, steps),
        "bound_nats_per_step": per_step(mean.get("description_length"), size, steps),
        "extra": extra(model, data, request, mean),
        "seconds": round(seconds, 2),
        "train_seconds": trained,
        "hardware": workdir.hardware(),
        "commit": workdir.commit(),
        "versions": workdir.versions(),
    }


def num_steps(model: loading.Model, arrays: Mapping[str, np.ndarray], size: int) -> int | None:
    """Frames scored in the first `size` sequences, None where examples are no sequences.

    A Predictor is given the first frame of each, so that it does not count.
    """
    if isinstance(model.experiment.model, Predictor):
        if model.experiment.config.objective.task != "next_frame":
            return None
        lengths = arrays.get("lengths", np.full(len(arrays["x"]), arrays["x"].shape[1]))
        return int(np.sum(lengths[:size]) - size)
    return int(np.sum(arrays["lengths"][:size])) if "lengths" in arrays else None


def per_step(mean: float | None, size: int, steps: int | None) -> float | None:
    """The split's total over its number of frames, from the mean over examples."""
    return None if mean is None or not steps else mean * size / steps


def density_estimator(model: loading.Model) -> str:
    """How a model without latents is evaluated: an energy model's NLL rests on annealing."""
    return "ais" if isinstance(model.experiment.model, EnergyBased) else "exact"


def standard_error(nll: np.ndarray) -> float:
    """Standard error of the mean over the test examples: [repeats, N] -> nats."""
    per_example = nll.mean(axis=0)
    return float(np.std(per_example, ddof=1) / np.sqrt(len(per_example)))


def extra(model: loading.Model, data: dataset.Dataset, request: Request, mean) -> dict[str, Any]:
    """What only some models have: active units, the NLL with a tenth of the samples."""
    found: dict[str, Any] = {}
    if isinstance(model.experiment.model, Predictor):
        found |= {name: value for name, value in mean.items() if name != "nll"}
        found["first_frame_counts"] = False
    if "nll_tenth" in mean:
        found["nll_nats_tenth_of_samples"] = mean["nll_tenth"]
    if isinstance(model.experiment.model, LatentVariable):
        rows, mask, positions = next(evaluation_batches(data.splits[request.split], 2000))
        keys = example_keys(jax.random.key(model.experiment.config.seed), positions)

        @jax.jit
        def count(variables, rows):
            batch = Decoder(data.kind, data.binarize)(rows, keys)
            posterior = model.experiment.model.bind(variables).posterior(batch)
            return active_units(posterior, keys, mask)

        found["active_units"] = int(count(model.variables, rows))
    return found
