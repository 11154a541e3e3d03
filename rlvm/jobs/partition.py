"""Partition functions: an energy model's log Z is estimated when it is validated or loaded."""

from collections.abc import Callable

import flax.linen as nn
import jax

from rlvm.inference.ais import log_partition
from rlvm.inference.contrastive_divergence import EnergyBased
from rlvm.training.state import TrainState

NUM_CHAINS, NUM_STEPS = 100, 1000


def refresher(
    model: nn.Module, num_chains: int = NUM_CHAINS, num_steps: int = NUM_STEPS
) -> Callable[[TrainState], TrainState]:
    """What brings a state's `partition` up to date with its parameters; most models have none."""
    if not isinstance(model, EnergyBased):
        return lambda state: state

    @jax.jit
    def estimate(params, extra):
        bound = model.bind({"params": params, **extra})
        return log_partition(bound, jax.random.key(0), num_chains, num_steps)[0]

    def refresh(state: TrainState) -> TrainState:
        log_z = estimate(state.eval_params, state.extra)
        return state.replace(extra={**state.extra, "partition": {"log_z": log_z}})

    return refresh
