"""What a workdir's posterior leaves of log p(x), and what full conditioning would win back.

Of the frozen model its bound, and its evidence by importance sampling, by a bootstrap particle
filter and by one guided by the posterior; log p - ELBO, the whole gap, takes the largest evidence,
and since each is biased downward may be larger still. Then a posterior that sees all of x_1:T is
fitted to the frozen model: the refit difference ELBO(full refit) - ELBO is
gap + KL(q || w) - E KL(q_full || p), the conditioning gap itself only if both families are exact;
it can lie on either side of it.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
import optax
from etils import epath
from ml_collections import ConfigDict

from rlvm.data.dataset import Dataset
from rlvm.jobs import evaluate
from rlvm.jobs import experiment as experiments
from rlvm.jobs import load as loading
from rlvm.jobs.optimise import optimise
from rlvm.training.state import create

EVIDENCES = ("importance", "particle_filter", "guided_filter")
POSTERIOR = "inverse"  # the inference network's parameters; all others are the generative model's


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked of a gap."""

    split: str = "test"
    num_samples: int = 1000
    num_particles: int = 1000
    repeats: int = 3
    num_steps: int = 5000
    limit: int | None = None
    checkpoint: str = "best"


def gap(
    path: epath.PathLike,
    request: Request,
    data_dir: epath.PathLike | None = None,
    manual_dir: epath.PathLike | None = None,
) -> dict[str, Any]:
    """The gap's parts in nats per sequence, as a JSON object."""
    model, data = loading.load_state_space(path, request.checkpoint, data_dir, manual_dir)
    bound, interval = measured(model, data, request, "bound")
    evidences = {name: measured(model, data, request, name) for name in EVIDENCES}
    evidence = max(value for value, _ in evidences.values())  # each is biased downward
    refitted = refit(model, data, request.num_steps)
    full, full_interval = measured(refitted, data, request, "bound")
    return {
        **dataclasses.asdict(request),
        "dataset": data.name,
        "data_sha256": data.sha256[request.split],
        **model.origin,
        "bound_nats": bound,
        **{f"{name}_nats": value for name, (value, _) in evidences.items()},
        "log_p_minus_elbo_nats": evidence - bound,
        "refit_bound_nats": full,
        "refit_difference_nats": full - bound,
        "mc95": {
            "bound": interval,
            **{name: between for name, (_, between) in evidences.items()},
            "refit_bound": full_interval,
        },
    }


def measured(
    model: loading.Model, data: Dataset, request: Request, estimator: str
) -> tuple[float, list[float] | None]:
    """Mean log p(x), or the bound on it, over the split, and its Monte Carlo interval."""
    particles = request.num_samples if estimator == "importance" else request.num_particles
    asked = evaluate.Request(
        split=request.split,
        estimator=estimator,
        num_samples=particles,
        repeats=request.repeats,
        limit=request.limit,
    )
    terms = evaluate.measure(model, data, asked)
    values = -terms["description_length" if estimator == "bound" else "nll"]  # [repeats, N]
    return float(np.mean(values)), evaluate.interval(values.mean(axis=1))


def refit(model: loading.Model, data: Dataset, num_steps: int) -> loading.Model:
    """The same generative model with a fully conditioned posterior fitted to the train split."""
    before = model.experiment
    config = ConfigDict(before.config.to_dict())
    config.model.conditioning = "full"
    config.objective.kl_warmup_steps = 0  # the model already uses its states
    config.train.num_steps = num_steps
    experiment = experiments.build(config.lock(), before.example)
    optimizer = optax.multi_transform(
        {"fit": experiment.optimizer, "keep": optax.set_to_zero()},
        lambda params: {name: "fit" if name == POSTERIOR else "keep" for name in params},
    )
    fresh = experiment.initial_state().params
    # A dispatch donates its state: without a copy the model's own parameters would be overwritten.
    kept = jax.tree.map(jax.numpy.copy, dict(model.state.eval_params))
    params = {**kept, POSTERIOR: fresh[POSTERIOR]}
    state = create({"params": params}, optimizer, ema=False)
    state = optimise(experiment.objective, optimizer, state, data, config)
    experiment = dataclasses.replace(experiment, optimizer=optimizer)
    return dataclasses.replace(model, experiment=experiment, state=state)
