"""How a state-space model's particles start and move, with and without its inference network."""

from typing import TYPE_CHECKING

import jax.numpy as jnp

from rlvm.models.distributions import Normal
from rlvm.models.ssm.emission import SequenceLikelihood
from rlvm.models.ssm.inference import valid_steps
from rlvm.models.ssm.noise import normals
from rlvm.models.ssm.paths import over_time
from rlvm.types import Array, Batch, PyTree

if TYPE_CHECKING:
    from rlvm.models.ssm.model import StateSpaceModel


class Moves:
    """Particles are dicts of `states` [N, B, Z] and, where the network has one, its `memory`.

    Bootstrap: z_t ~ p(z_t | z_{t-1}), weight p(x_t | z_t). Guided: z_t ~ q(z_t | .), weight
    p(x_t | z_t) p(z_t | z_{t-1}) / q(z_t | .), the ratio taken over the inferred variables.
    """

    def __init__(self, model: "StateSpaceModel", batch: Batch, guided: bool):
        self._model, self._guided = model, guided
        valid = valid_steps(batch)
        self._first = (batch["x"][:, 0], valid[:, 0])
        features = model.project_features(batch)  # dead code to the compiler unless guided
        self._first_features = features.first
        self.inputs = {
            "x": over_time(batch["x"][:, 1:]),
            "valid": valid[:, 1:].T,
            "controls": over_time(model.project_controls(batch)),
            "features": over_time(features.rest),
        }

    def first(self, rng: Array, num_particles: int) -> tuple[PyTree, Array]:
        """Particles of step 1 and their log weights [N, B]."""
        model, noise = self._model, self._noise(rng, num_particles)
        if not self._guided:
            z, log_ratio = model.push_initial(noise), jnp.zeros(noise.shape[:-1])
        else:
            mean, scale = model.infer_initial(self._first_features)
            variable = mean + scale * noise
            z, log_p = model.initial_log_prob(variable)
            log_ratio = log_p - jnp.sum(Normal(mean, scale).log_prob(variable), axis=-1)
        return self._particles(z, model.start_memory(z)), self._weigh(z, *self._first, log_ratio)

    def next(self, rng: Array, particles: PyTree, inputs: PyTree) -> tuple[PyTree, Array]:
        """Particles of step t and their log weights [N, B]."""
        model, z = self._model, particles["states"]
        noise = self._noise(rng, z.shape[0])
        mean, gain = model.transition_step(z, inputs["controls"])
        memory = particles.get("memory")
        if self._guided:
            memory = model.remember(memory, z)
            m, s = model.infer_later(inputs["features"], mean, memory)
            variable = m + s * noise
            state_space = model.inference == "state"
            prior = Normal(mean, gain) if state_space else Normal(0.0, 1.0)
            z = variable if state_space else mean + gain * variable
            log_ratio = prior.log_prob(variable) - Normal(m, s).log_prob(variable)
            log_ratio = jnp.sum(log_ratio, axis=-1)
        else:
            z, log_ratio = mean + gain * noise, jnp.zeros(noise.shape[:-1])
        return self._particles(z, memory), self._weigh(z, inputs["x"], inputs["valid"], log_ratio)

    def _noise(self, rng, num_particles):
        return jnp.moveaxis(normals(rng, (num_particles, self._model.state_dim)), 1, 0)

    def _particles(self, z, memory):
        carried = self._guided and memory is not None
        return {"states": z, "memory": memory} if carried else {"states": z}

    def _weigh(self, z, x, valid, log_ratio):
        log_p = SequenceLikelihood(self._model.emit(z), valid).log_prob_steps(x)
        return log_p + jnp.where(valid, log_ratio, 0.0)
