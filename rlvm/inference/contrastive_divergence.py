"""Training of energy models by chains that go on from step to step (Tieleman 2008)."""

from typing import Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.inference.prediction import weighted_mean
from rlvm.types import Array, Objective


@runtime_checkable
class EnergyBased(Protocol):
    """A density known up to its partition function: p(x) = exp(-F(x)) / Z."""

    def free_energy(self, x: Array, beta: Array | float = 1.0) -> Array:
        """F(x) at inverse temperature `beta`: [...]; at beta = 0 the units are independent."""
        ...

    def transition(self, x: Array, rng: Array, beta: Array | float = 1.0) -> Array:
        """One step [..., D] of a Markov chain that keeps exp(-F(x, beta)); `rng` is one key."""
        ...

    def base(self, rng: Array, count: int) -> tuple[Array, Array]:
        """Exact draws [count, D] at beta = 0, and the log partition function there."""
        ...


def contrastive_divergence(model: nn.Module, config: ConfigDict) -> Objective:
    """F(data) - F(chains), whose gradient estimates that of -log p(x).

    The chains live in `extra`; each step moves them by `config.chain_steps` transitions. Their
    noise follows from the step alone, so that all devices hold the same chains.
    """

    def objective(params, extra, batch, rng):
        del rng
        key = jax.random.fold_in(jax.random.key(0), batch["step"])
        bound = model.bind({"params": params, **extra})

        def move(x, key):
            return bound.transition(x, key), None

        chains, _ = jax.lax.scan(
            move, extra["chains"]["x"], jax.random.split(key, config.chain_steps)
        )
        chains = jax.lax.stop_gradient(chains)
        energy = bound.free_energy(batch["x"])
        dream = jnp.mean(bound.free_energy(chains))
        loss = weighted_mean(energy, batch["mask"]) - dream
        terms = {"free_energy": energy, "chain_energy": jnp.full_like(energy, dream)}
        return loss, ({**extra, "chains": {"x": chains}}, terms)

    return objective
