"""Distributions over whole state paths: the prior p(z_1:T | u) and the posterior q(z_1:T | x, u).

Densities are over the variables that are inferred: the residual eps_t of a step or its state z_t,
the flow's base variable of z_1 or z_1 itself. Prior and posterior always speak of the same ones.
"""

from typing import TYPE_CHECKING

import jax.numpy as jnp
from flax import struct

from rlvm.models.distributions import Normal
from rlvm.models.ssm.inference import valid_steps
from rlvm.models.ssm.noise import normals
from rlvm.nn.scan import scan
from rlvm.types import Array, Batch, Surrogate

if TYPE_CHECKING:
    from rlvm.models.ssm.model import StateSpaceModel


@struct.dataclass
class Path:
    """States z_1:T and the variables they were made of, time before the last axis."""

    states: Array  # [..., B, T, Z]
    variables: Array  # [..., B, T, Z]: residuals or states


@struct.dataclass
class Moments:
    """Mean and scale of the Gaussian q of each step's variables, given the path before it."""

    mean: Array  # [..., B, T, Z]
    scale: Array  # [..., B, T, Z]


def time_first(x: Array) -> Array:
    """[..., T, Z] -> [T, ..., Z]."""
    return jnp.moveaxis(x, -2, 0)


def over_time(projected: Array | None) -> Array | None:
    """[B, T, H] -> [T, B, H], for a scan; None where there is nothing."""
    return None if projected is None else time_first(projected)


def time_last(x: Array) -> Array:
    """[T, ..., Z] -> [..., T, Z]."""
    return jnp.moveaxis(x, 0, -2)


def joined(first: Array, rest: Array) -> Array:
    """z_1 [..., Z] and z_2:T [T-1, ..., Z] as one [..., T, Z]."""
    return time_last(jnp.concatenate([first[None], rest], axis=0))


class PathPrior:
    """p(z_1) prod_t p(z_t | z_{t-1}, u_{t-1})."""

    def __init__(self, model: "StateSpaceModel", batch: Batch):
        self._model, self._valid = model, valid_steps(batch)
        self._controls = model.project_controls(batch)

    def log_prob_steps(self, path: Path) -> Array:
        """Log density of each step's variables given the path before it: [..., B, T]."""
        model, states, variables = self._model, path.states, path.variables
        if model.initial_inference == "state":
            first = model.initial().log_prob(states[..., 0, :])
        else:
            first = jnp.sum(Normal(0.0, 1.0).log_prob(variables[..., 0, :]), axis=-1)
        if model.inference == "state":
            mean, gain = model.transitions(states, self._controls)
            rest = jnp.sum(Normal(mean, gain).log_prob(states[..., 1:, :]), axis=-1)
        else:
            rest = jnp.sum(Normal(0.0, 1.0).log_prob(variables[..., 1:, :]), axis=-1)
        log_probs = jnp.concatenate([first[..., None], rest], axis=-1)
        return jnp.where(self._valid, log_probs, 0.0)

    def log_prob(self, path: Path) -> Array:
        """Log p(z_1:T): [..., B]."""
        return jnp.sum(self.log_prob_steps(path), axis=-1)

    def sample(self, rng: Array) -> Path:
        """One path for each key of `rng` [..., B]."""
        model = self._model
        noise = time_first(normals(rng, (self._valid.shape[1], model.state_dim)))
        first = model.push_initial(noise[0])

        rest = model.rollout(first, noise[1:], over_time(self._controls))
        states = joined(first, rest)
        start = first if model.initial_inference == "state" else noise[0]
        later = rest if model.inference == "state" else noise[1:]
        return Path(states, joined(start, later))


class PathPosterior:
    """q(z_1 | .) prod_t q(z_t | .), each conditioned as the model's `conditioning` says."""

    def __init__(self, model: "StateSpaceModel", batch: Batch):
        self._model, self._valid = model, valid_steps(batch)
        self._controls = model.project_controls(batch)
        self._features = model.project_features(batch)

    def sample_with_moments(self, rng: Array) -> tuple[Path, Moments]:
        """One path for each key of `rng` [..., B], and the Gaussians it was drawn from."""
        model = self._model
        noise = time_first(normals(rng, (self._valid.shape[1], model.state_dim)))
        mean, scale = model.infer_initial(self._features.first)
        variable = mean + scale * noise[0]
        first = variable if model.initial_inference == "state" else model.push_initial(variable)
        shape = first.shape

        def step(carry, inputs):
            z, memory = carry
            eta, features, controls = inputs
            memory = model.remember(memory, z)
            z, *drawn = model.infer_step(z, memory, eta, features, controls)
            return (z, memory), (z, *drawn)

        inputs = (noise[1:], over_time(self._features.rest), over_time(self._controls))
        carry = (first, model.start_memory(first))
        _, (states, variables, means, scales) = scan(step, carry, inputs, model.segment)
        path = Path(joined(first, states), joined(variable, variables))
        mean, scale = jnp.broadcast_to(mean, shape), jnp.broadcast_to(scale, shape)
        return path, Moments(joined(mean, means), joined(scale, scales))

    def moments(self, path: Path) -> Moments:
        """The Gaussians of every step given the states of `path` before it, all at once."""
        model, last = self._model, path.states[..., :-1, :]  # z_{t-1} for t > 1
        first = model.infer_initial(self._features.first)
        mean, _ = model.transition_step(last, self._controls)
        rest = model.infer_later(self._features.rest, mean, model.memories(last))
        shape = path.states.shape
        return Moments(
            *[
                jnp.concatenate(
                    [
                        jnp.broadcast_to(a[..., None, :], (*shape[:-2], 1, shape[-1])),
                        jnp.broadcast_to(b, (*shape[:-2], shape[-2] - 1, shape[-1])),
                    ],
                    axis=-2,
                )
                for a, b in zip(first, rest, strict=True)
            ]
        )

    def log_prob_steps(self, path: Path, moments: Moments | None = None) -> Array:
        """Log q of each step's variables given the path before it: [..., B, T]."""
        moments = self.moments(path) if moments is None else moments
        log_q = Normal(moments.mean, moments.scale).log_prob(path.variables)
        return jnp.where(self._valid, jnp.sum(log_q, axis=-1), 0.0)

    def log_prob(self, path: Path) -> Array:
        """Log q(z_1:T | x): [..., B]."""
        return jnp.sum(self.log_prob_steps(path), axis=-1)

    def sample(self, rng: Array) -> Path:
        """One path for each key of `rng` [..., B]."""
        return self.sample_with_moments(rng)[0]

    def sample_with(self, surrogate: Surrogate, rng: Array) -> tuple[Path, Array]:
        """(path, log q(path)), reparameterised: continuous variables need no surrogate."""
        del surrogate
        path, moments = self.sample_with_moments(rng)
        return path, jnp.sum(self.log_prob_steps(path, moments), axis=-1)
