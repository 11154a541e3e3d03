"""Train a config into a workdir; rerunning resumes where the last good checkpoint left off."""

import contextlib
import dataclasses
import logging
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from ml_collections import ConfigDict
from tqdm import tqdm

from rlvm.data import dataset
from rlvm.data.pipeline import training_source
from rlvm.jobs import cache, cost, interrupt, pictures, processes, workdir
from rlvm.jobs import experiment as experiments
from rlvm.jobs.fit import fit
from rlvm.jobs.spool import Spool
from rlvm.jobs.validate import Validator
from rlvm.jobs.watch import Watch
from rlvm.training import metrics, parallel
from rlvm.training.checkpoint import Checkpoints
from rlvm.training.state import JUDGED, TrainState, after_validation
from rlvm.training.step import make_step
from rlvm.types import PyTree

LOG = logging.getLogger(__name__)

COLLAPSED_NATS = 0.01
REMEDY = (
    "the last good checkpoint is kept. Lower optimizer.learning_rate or set optimizer.clip_norm."
)


@dataclasses.dataclass
class Run:
    """The parts of a run that the loop touches."""

    config: ConfigDict
    parallel: parallel.Parallel
    source: Any
    validator: Validator
    checkpoints: Checkpoints
    log: metrics.Log
    spool: Spool
    watch: Watch
    started: float

    @property
    def seconds(self) -> float:
        """Training seconds, those of earlier invocations included."""
        return time.perf_counter() - self.started


def train(
    config: ConfigDict,
    workdir_path: epath.PathLike,
    data_dir: epath.PathLike | None = None,
    manual_dir: epath.PathLike | None = None,
    profile: bool = False,
    draw: bool = False,
) -> TrainState:
    """Train `config` on its data into the workdir; returns the last state.

    `profile` traces the second dispatch; `draw` pictures what a run that has ended can do. Both are
    for TensorBoard.
    """
    with processes.first_alone("data"):
        data = experiments.load_data(config, data_dir, manual_dir)
    config = fit(config, data)
    cache.enable()
    with workdir.lock(workdir_path) if processes.is_first() else contextlib.nullcontext():
        path, example = epath.Path(workdir_path), experiments.example_batch(data)
        with processes.first_alone("workdir"):
            if processes.is_first():
                workdir.open_run(path, config)
                workdir.write_data(path, data, example)
        experiment = experiments.build(config, example)
        run, state = set_up(experiment, data, path, profile)
        begun_at = int(state.step)
        try:
            state = loop(run, state)
            over = ended(state, config.train) and int(state.step) > begun_at
            if draw and over and processes.is_first():
                pictures.log_picture(run.log, experiment, state, data)
        finally:
            run.checkpoints.close()
            run.log.close()
            run.spool.close()
    return state


def ended(state: TrainState, train: ConfigDict) -> bool:
    """Whether a run has taken its steps, or has stopped early by itself."""
    patience = train.early_stopping_evals
    stopped = bool(patience) and int(state.bad_evals) >= patience
    return stopped or int(state.step) >= train.num_steps


def set_up(
    experiment: experiments.Experiment, data: dataset.Dataset, path: epath.Path, profile: bool
):
    """The run's parts, and the state it starts from: the newest checkpoint or a fresh one."""
    config = experiment.config
    train = config.train
    source = training_source(
        data,
        train.batch_size,
        config.seed,
        train.steps_per_dispatch,
        num_buckets=train.get("num_buckets", 1),
        labelled=train.get("labelled_per_batch", 0),
    )
    step = make_step(
        experiment.objective,
        experiment.optimizer,
        config.optimizer.ema_decay,
        parallel.axis_name(config.parallel),
        train.accumulate_steps,
        source.longest,
    )
    mode = parallel.Parallel(
        config.parallel,
        step,
        source,
        config.seed,
        fsdp=config.sharding.fsdp,
        rules=config.sharding.rules,
    )
    checkpoints = Checkpoints(path, train.keep_checkpoints)
    abstract = experiment.abstract_state()
    if checkpoints.latest_step() is None:
        state = experiment.initial_state(mode.shardings(abstract))
    else:
        state, name = checkpoints.restore("latest", abstract, mode.shardings(abstract))
        LOG.info("Resuming %s from checkpoint %s.", path, name)
    first = processes.is_first()
    spool = Spool(path, first)
    log = metrics.Log(spool.folder, int(state.step), first)
    spool.publish()
    watch = Watch(spool.folder / "tensorboard" if profile and first else None)
    started, validator = time.perf_counter() - log.seconds, Validator(experiment, data)
    run = Run(config, mode, source, validator, checkpoints, log, spool, watch, started)
    return run, state


def loop(run: Run, state: TrainState) -> TrainState:
    """Dispatch steps until the config's number, early stopping, or a request to leave."""
    train, step = run.config.train, int(state.step)
    hidden = None if processes.is_first() else True  # None: hidden where there is no terminal
    bar = tqdm(total=train.num_steps, initial=step, unit="step", disable=hidden, mininterval=0.5)
    state, window = run.parallel.place(state), Window()
    leave = stopped_early(run, state)
    with interrupt.requested() as stop, bar:
        if step < train.num_steps and not leave:
            cost.compile_ahead(run.parallel, state, run.source.inputs(step, 1))
        while step < train.num_steps and not leave:
            count = next_event(step, train) - step
            with run.watch.dispatch(count):
                state, totals = run.parallel(state, run.source.inputs(step, count), count)
            step += count
            window.add(totals, count)
            bar.update(count)
            leave = stop(step)
            if step % train.log_every == 0 or step == train.num_steps:
                write_window(run, step, window, bar)
                window = Window()
            if step % train.eval_every == 0 or step == train.num_steps:
                state = validate(run, state, step)
                leave = leave or stopped_early(run, state)
            if leave or step % train.checkpoint_every == 0 or step == train.num_steps:
                save(run, state)
            if leave:
                LOG.info("Left at step %d of %d, saved.", step, train.num_steps)
    return run.parallel.collect(state)


def next_event(step: int, train: ConfigDict) -> int:
    """The next step at which the host has something to do."""
    periods = (train.log_every, train.eval_every, train.checkpoint_every)
    events = [step - step % period + period for period in periods]
    return min(*events, step + train.steps_per_dispatch, train.num_steps)


class Window:
    """Means of the training metrics since the last log line."""

    def __init__(self):
        self.sums = dict[str, float]()
        self.count = 0

    def add(self, totals: dict, count: int) -> None:
        """Add a dispatch's sums; a metric that was not finite ends the run."""
        first_bad = {name: int(step) for name, step in totals["first_bad"].items() if step >= 0}
        if first_bad:
            name = min(first_bad, key=lambda name: first_bad[name])
            raise FloatingPointError(
                f"Metric '{name}' was not finite at step {first_bad[name]}; {REMEDY}"
            )
        self.count += count
        for name, value in totals["sums"].items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)

    def means(self) -> dict[str, float]:
        """Mean of each metric per step."""
        return {name: value / self.count for name, value in self.sums.items()}


def write_window(run: Run, step: int, window: Window, bar: tqdm) -> None:
    """One line of training metrics and of speed; a rate near zero is called by its name."""
    means = window.means()
    values = {**means, **run.watch.rates(run.config.train.batch_size)}
    run.log.write(step, run.seconds, {f"train/{name}": v for name, v in values.items()})
    bar.set_postfix(loss=f"{means['loss']:.3f}")
    if "rate" in means and abs(means["rate"]) < COLLAPSED_NATS:
        LOG.warning(
            "Step %d: the rate is %.4f nats, so the latents are unused (posterior collapse). "
            "Try objective.kl_warmup_steps, objective.free_bits or a lower learning rate.",
            step,
            means["rate"],
        )


def validate(run: Run, state: TrainState, step: int) -> TrainState:
    """Evaluate on the validation split, record it, and keep the best."""
    plain = run.parallel.collect(state.replace(opt_state=()))
    terms = run.validator(plain)
    run.log.write(step, run.seconds, {f"valid/{name}": value for name, value in terms.items()})
    selects = run.validator.selects
    value = terms[selects]
    if not np.isfinite(value):
        raise FloatingPointError(
            f"Metric 'valid/{selects}' was not finite at step {step}; {REMEDY}"
        )
    least = run.config.optimizer.get("least_scale", 1.0)
    plain = after_validation(plain, jnp.float32(value), least)
    judged = {name: getattr(plain, name) for name in JUDGED}
    state = state.replace(**run.parallel.place(judged))
    if int(plain.best_step) == step:
        save(run, state, best=True)
    return state


@jax.jit
def all_finite(params: PyTree) -> PyTree:
    """Whether each array is finite throughout."""
    return jax.tree.map(lambda leaf: jnp.isfinite(leaf).all(), params)


def save(run: Run, state: TrainState, best: bool = False) -> None:
    """Save a state whose parameters are all finite."""
    state = run.parallel.stored(state)
    for path, finite in jax.tree_util.tree_leaves_with_path(all_finite(state.params)):
        if not finite:
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise FloatingPointError(
                f"Parameter '{name}' was not finite after step {int(state.step)}; {REMEDY}"
            )
    run.checkpoints.save(state, best)
    run.log.flush()
    run.spool.publish()


def stopped_early(run: Run, state: TrainState) -> bool:
    """Whether validation has not improved for the config's number of evaluations."""
    patience = run.config.train.early_stopping_evals
    if not patience:
        return False
    bad = int(run.parallel.collect(state.bad_evals))
    if bad >= patience:
        LOG.info("No better validation value for %d evaluations: stopping early.", bad)
    return bad >= patience
