"""Variational state-space models ("Mind the Gap", appendix B) with conditioning as a choice."""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.models.distributions import Flow, MultivariateNormalDiag, Normal, Transformed
from rlvm.models.ssm import segments
from rlvm.models.ssm.conditioning import Conditioning, preset
from rlvm.models.ssm.divergences import gaussian_kl, standard_kl
from rlvm.models.ssm.emission import Emission, SequenceLikelihood
from rlvm.models.ssm.filtering import Moves
from rlvm.models.ssm.inference import Features, InferenceNetwork, valid_steps
from rlvm.models.ssm.noise import normals
from rlvm.models.ssm.paths import Moments, Path, PathPosterior, PathPrior, over_time, time_first
from rlvm.models.ssm.transition import Transition, lagged
from rlvm.nn.flows import FlowChain
from rlvm.nn.scan import scan
from rlvm.types import Array, Batch, Terms

NETWORKS = (
    "flow",
    "transition",
    "emission",
    "features",
    "prefix",
    "inverse_initial",
    "inverse_residual",
)
LAYERS = {"sizes": (64,), "activations": ("softsign",)}


class StateSpaceModel(nn.Module):
    """p(z_1) prod_t p(z_t | z_{t-1}, u_{t-1}) p(x_t | z_t), and q(z_1:T | x, u).

    inference: "residual" infers eps_t of z_t = F + G eps_t, "state" infers z_t itself.
    initial_inference: "base" infers the base variable of the flow (the KL is analytic), "state"
    infers z_1 behind it (the KL is an estimate, and costs the flow's sequential inverse).
    The mappings are the fields of the networks they name. observation_mean and observation_scale
    standardise x for the networks; densities stay those of x itself. segment is how many steps the
    backward pass keeps at a time: about sqrt(T) takes least memory, 0 keeps all.
    """

    observation_dim: int
    state_dim: int
    control_dim: int = 0
    conditioning: Conditioning = preset("full")
    inference: str = "residual"
    initial_inference: str = "base"
    flow: Mapping = nn.FrozenDict({"num_flows": 4, "sizes": (64, 32)})
    transition: Mapping = nn.FrozenDict(LAYERS)
    emission: Mapping = nn.FrozenDict(LAYERS)
    features: Mapping = nn.FrozenDict({"size": 64})
    prefix: Mapping = nn.FrozenDict(LAYERS)
    inverse_initial: Mapping = nn.FrozenDict(LAYERS)
    inverse_residual: Mapping = nn.FrozenDict(LAYERS)
    initial_scale: float = 0.1
    observation_mean: Sequence[float] = (0.0,)
    observation_scale: Sequence[float] = (1.0,)
    segment: int = 0

    def setup(self):
        """Flow, transition, emission and the inference network."""
        self._check()
        self.flows = FlowChain(self.state_dim, **self.flow)
        self.dynamics = Transition(
            self.state_dim, **self.transition, has_controls=self.control_dim > 0
        )
        standard = {
            "observation_mean": self.observation_mean,
            "observation_scale": self.observation_scale,
        }
        self.emissions = Emission(self.observation_dim, **self.emission, **standard)
        self.inverse = InferenceNetwork(
            self.state_dim,
            self.conditioning,
            features=self.features,
            prefix=self.prefix,
            inverse_initial=self.inverse_initial,
            inverse_residual=self.inverse_residual,
            initial_scale=self.initial_scale,
            segment=self.segment,
            **standard,
        )

    def _check(self):
        for name, value, known in [
            ("inference", self.inference, ("residual", "state")),
            ("initial_inference", self.initial_inference, ("base", "state")),
        ]:
            if value not in known:
                raise ValueError(f"No {name} '{value}'. There are: {', '.join(known)}.")
        if self.inference == "residual" and self.conditioning.latents == "none":
            raise ValueError(
                "A conditioning without z_t-1 cannot infer residuals: z_t = F(z_t-1) + G eps_t "
                "depends on z_t-1 whatever q(eps_t) sees. Set model.inference='state'."
            )
        if self.emission.get("kind") == "state" and self.observation_dim > self.state_dim:
            raise ValueError(
                f"Emission kind 'state' reads x from the first {self.observation_dim} dimensions "
                f"of the state, which has {self.state_dim}."
            )

    def __call__(self, batch: Batch) -> Array:
        """ELBO at the path z = 0, which touches every parameter: the entry for `init`."""
        zeros = jnp.zeros((*batch["x"].shape[:2], self.state_dim))
        path, posterior = Path(zeros, zeros), self.posterior(batch)
        self.push_initial(zeros[:, 0]), self.transitions(zeros, self.project_controls(batch))
        log_joint = self.prior(batch).log_prob(path)
        log_joint = log_joint + self.likelihood(path, batch).log_prob(batch["x"])
        return log_joint - posterior.log_prob(path)

    def prior(self, batch: Batch) -> PathPrior:
        """p(z_1:T | u_1:T)."""
        return PathPrior(self, batch)

    def posterior(self, batch: Batch) -> PathPosterior:
        """q(z_1:T | x_1:T, u_1:T)."""
        return PathPosterior(self, batch)

    def likelihood(self, z: Path, batch: Batch) -> SequenceLikelihood:
        """p(x_1:T | z_1:T)."""
        return SequenceLikelihood(self.emissions(z.states), valid_steps(batch))

    def sample_with_rate(self, batch: Batch, rng: Array) -> tuple[Path, Array]:
        """A posterior path for each key, and its divergence from the prior along it: [..., B].

        Analytic given z_{t-1} at every step (oracle 7), except for z_1 inferred as a state.
        """
        path, moments = self.posterior(batch).sample_with_moments(rng)
        return path, jnp.sum(self.rates(path, moments, batch), axis=-1)

    def code_lengths(self, batch: Batch, rng: Array) -> Terms:
        """Distortion and rate of a posterior path for each key: [..., B] each, in nats.

        With `segment` the same numbers in memory of order T / segment + segment.
        """
        if self.segment > 1:
            return segments.code_lengths(self, batch, rng)
        path, rate = self.sample_with_rate(batch, rng)
        return {"distortion": -self.likelihood(path, batch).log_prob(batch["x"]), "rate": rate}

    def rates(self, path: Path, moments: Moments, batch: Batch) -> Array:
        """KL(q(z_t | .) || p(z_t | z_{t-1})) of every step along `path`: [..., B, T]."""
        mean, scale, states = moments.mean, moments.scale, path.states
        first = self.first_rate(mean[..., 0, :], scale[..., 0, :], states[..., 0, :])
        controls, last = self.project_controls(batch), states[..., :-1, :]
        rest = self.later_rates(mean[..., 1:, :], scale[..., 1:, :], last, controls)
        rates = jnp.concatenate([first[..., None], rest], axis=-1)
        return jnp.where(valid_steps(batch), rates, 0.0)

    def first_rate(self, mean: Array, scale: Array, z: Array) -> Array:
        """KL(q(z_1 | .) || p(z_1)) [..., B], at z_1 if that is inferred as a state."""
        if self.initial_inference == "base":
            return jnp.sum(standard_kl(mean, scale), axis=-1)
        log_q = MultivariateNormalDiag(mean, scale)
        return log_q.log_prob(z) - self.initial().log_prob(z)

    def later_rates(self, mean: Array, scale: Array, last: Array, controls: Array | None) -> Array:
        """KL(q(z_t | .) || p(z_t | z_{t-1})) from the states z_{t-1} `last`: [...]."""
        if self.inference == "residual":
            return jnp.sum(standard_kl(mean, scale), axis=-1)
        return jnp.sum(gaussian_kl(mean, scale, *self.dynamics(last, controls)), axis=-1)

    def filter_steps(self, batch: Batch, guided: bool = False) -> Moves:
        """Moves of a particle filter on `batch`: bootstrap, or guided by the posterior."""
        return Moves(self, batch, guided)

    def continue_from(
        self, states: Array, prefix: int, batch: Batch, rng: Array
    ) -> SequenceLikelihood:
        """p(x_k+1:T | z_k+1:T) on futures of states z_k [..., B, Z], k = `prefix`.

        One future for each key of `rng` [..., B], under the controls u_k:T of `batch`.
        """
        valid = valid_steps(batch)[:, prefix:]
        noise = time_first(normals(rng, (valid.shape[1], self.state_dim)))
        controls = self.project_controls(batch)
        later = None if controls is None else over_time(controls[:, prefix - 1 :])
        path = jnp.moveaxis(self.rollout(states, noise, later), 0, -2)
        return SequenceLikelihood(self.emissions(path), valid)

    # The generative model, step by step.

    def initial(self) -> Transformed:
        """p(z_1): the flow of a standard normal."""
        base = MultivariateNormalDiag(jnp.zeros(self.state_dim), jnp.ones(self.state_dim))
        return Transformed(base, Flow(self.flows))

    def push_initial(self, base: Array) -> Array:
        """z_1 of a base variable: [..., Z]."""
        return self.flows.forward_and_log_det(base)[0]

    def initial_log_prob(self, variable: Array) -> tuple[Array, Array]:
        """(z_1, log p) of a value of the variable that q(z_1 | .) is over."""
        if self.initial_inference == "state":
            return variable, self.initial().log_prob(variable)
        return self.push_initial(variable), jnp.sum(Normal(0.0, 1.0).log_prob(variable), axis=-1)

    def project_controls(self, batch: Batch) -> Array | None:
        """What u_1:T-1 adds to the transitions to z_2:T: [B, T-1, H], or None without controls."""
        if self.control_dim == 0:
            return None
        return self.dynamics.project(lagged(batch["u"])[:, 1:])

    def transition_step(self, z: Array, controls: Array | None) -> tuple[Array, Array]:
        """(F, G) of p(z_t | z_{t-1}, u_{t-1}) at z_{t-1}: [..., Z] each."""
        return self.dynamics(z, controls)

    def rollout(self, z: Array, noise: Array, controls: Array | None) -> Array:
        """States after z [..., Z] from residuals [T, ..., Z] and projected controls [T, B, H]."""

        def step(z, inputs):
            eps, controls = inputs
            mean, gain = self.dynamics(z, controls)
            z = mean + gain * eps
            return z, z

        return scan(step, z, (noise, controls), self.segment)[1]

    def transitions(self, states: Array, controls: Array | None) -> tuple[Array, Array]:
        """(F, G) of every transition along states [..., T, Z]: [..., T-1, Z] each."""
        return self.dynamics(states[..., :-1, :], controls)

    def emit(self, z: Array):
        """p(x_t | z_t): a distribution over each dimension."""
        return self.emissions(z)

    # The inference network, step by step.

    def project_features(self, batch: Batch) -> Features:
        """All of the inference network that comes before the first state."""
        return self.inverse.project(batch)

    def infer_initial(self, first: Array) -> tuple[Array, Array]:
        """(mean, scale) of q over the first variable: [B, Z] each."""
        return self.inverse.initial(first)

    def infer_later(self, rest: Array, z_mean: Array, memory: Array | None) -> tuple[Array, Array]:
        """(mean, scale) of q over a later variable, with z~_t = F(z_{t-1}, u_{t-1})."""
        return self.inverse.later(rest, z_mean, memory)

    def infer_step(self, z, memory, eta, features, controls):
        """One draw from q(z_t | .): (z_t, variable, mean, scale)."""
        f, gain = self.dynamics(z, controls)
        mean, scale = self.inverse.later(features, f, memory)
        variable = mean + scale * eta
        mean, scale = jnp.broadcast_to(mean, z.shape), jnp.broadcast_to(scale, z.shape)
        state = variable if self.inference == "state" else f + gain * variable
        return state, variable, mean, scale

    def start_memory(self, z: Array) -> Array | None:
        """The inference network's summary of no states."""
        return self.inverse.start_memory(z)

    def remember(self, memory: Array | None, z: Array) -> Array | None:
        """The inference network's summary after one more state."""
        return self.inverse.remember(memory, z)

    def memories(self, z: Array) -> Array | None:
        """The inference network's summaries of z_1, z_1:2, ...: [..., T, H]."""
        return self.inverse.memories(z)


def build(config: ConfigDict, batch: Batch) -> StateSpaceModel:
    """The state-space model that `config.model` describes for batches shaped like `batch`.

    A conditioning without z_t-1 infers states, whatever `config.model.inference` says.
    """
    conditioning = preset(config.conditioning, config.prefix_length)
    return StateSpaceModel(
        observation_dim=batch["x"].shape[-1],
        control_dim=batch["u"].shape[-1] if "u" in batch else 0,
        conditioning=conditioning,
        state_dim=config.state_dim,
        inference="state" if conditioning.latents == "none" else config.inference,
        initial_inference=config.initial_inference,
        initial_scale=config.initial_scale,
        observation_mean=config.get("observation_mean", (0.0,)),
        observation_scale=config.get("observation_scale", (1.0,)),
        segment=config.get("segment", 0),
        **{name: config[name].to_dict() for name in NETWORKS},
    )
