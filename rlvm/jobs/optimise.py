"""Optimise an objective on a train split, without a workdir: parts of a job, not a run."""

import logging

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from rlvm.data.dataset import Dataset
from rlvm.data.pipeline import training_source
from rlvm.training.parallel import Parallel
from rlvm.training.state import TrainState
from rlvm.training.step import make_step
from rlvm.types import Objective

LOG = logging.getLogger(__name__)


def optimise(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    data: Dataset,
    config: ConfigDict,
) -> TrainState:
    """`state` after the steps of `config.train` on the train split."""
    train = config.train
    source = training_source(data, train.batch_size, config.seed, train.steps_per_dispatch)
    dispatch = Parallel("jit", make_step(objective, optimizer), source, config.seed)
    state, done = dispatch.place(state), 0
    while done < train.num_steps:
        count = min(train.steps_per_dispatch, train.num_steps - done)
        state, totals = dispatch(state, source.inputs(done, count), count)
        done += count
        LOG.info("Step %d: loss %.4f", done, float(totals["sums"]["loss"]) / count)
    return jax.tree.map(jnp.asarray, dispatch.collect(state))
