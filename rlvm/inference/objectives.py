"""Training objectives over the three distributions: functions of (params, extra, batch, rng).

Each returns (loss, (extra, terms)): the mean loss over the real examples of the batch, and terms
[B] in nats per example. `make(config.objective, model)` picks one by name.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.inference.estimators import SURROGATES, leave_one_out_bound, leave_one_out_mean
from rlvm.types import Array, Batch, Density, LatentVariable, Objective, Terms


def sample_keys(rng: Array, num_samples: int) -> Array:
    """Keys [S, ...] for S draws from each key of `rng` [...]."""
    samples = jnp.arange(num_samples)
    return jax.vmap(lambda s: jax.vmap(lambda key: jax.random.fold_in(key, s))(rng))(samples)


def masked_mean(values: Array, mask: Array) -> Array:
    """Mean of `values` [B] over the examples whose `mask` [B] is 1."""
    if values.shape != mask.shape:
        raise ValueError(f"A term has shape {values.shape}; expected one value per example: {mask.shape}.")
    return jnp.sum(jnp.where(mask > 0, values, 0.0)) / jnp.maximum(jnp.sum(mask), 1.0)


def code_lengths(model: LatentVariable, batch: Batch, z: Array, log_q: Array) -> Terms:
    """The parts of the description length at z (eqs. 11-15), in nats: [S, B] each."""
    distortion = -model.likelihood(z, batch).log_prob(batch["x"])
    prior_cost = -model.prior(batch).log_prob(z)
    return {"distortion": distortion, "prior_cost": prior_cost, "entropy": -log_q}


def total(parts: Terms) -> Array:
    """Description length = distortion + prior cost - entropy."""
    return parts["distortion"] + parts["prior_cost"] - parts["entropy"]


def summarize(parts: Terms) -> Terms:
    """Per-example means over the samples, with rate and description length added: [B]."""
    terms = {name: jnp.mean(value, axis=0) for name, value in parts.items()}
    terms["rate"] = terms["prior_cost"] - terms["entropy"]
    terms["description_length"] = terms["distortion"] + terms["rate"]
    return terms


def description_length(model: nn.Module, config: ConfigDict) -> Objective:
    """E_q[-log p(x|h) - log p(h) + log q(h|x)] with one of the gradient estimators."""
    surrogate = SURROGATES[config.estimator]
    needs_score = config.estimator in ("reinforce", "vimco")

    def objective(params, extra, batch, rng):
        bound = model.bind({"params": params})
        z, log_q = bound.posterior(batch).sample_with(surrogate, sample_keys(rng, config.num_samples))
        parts = code_lengths(bound, batch, z, log_q)
        terms = summarize(parts)
        loss = terms["description_length"]
        if needs_score:
            loss = loss + jnp.mean(reinforce_loss(total(parts), log_q), axis=0)
        return masked_mean(loss, batch["mask"]), (extra, terms)

    return objective


def reinforce_loss(lengths: Array, log_q: Array) -> Array:
    """A term of gradient (f - leave-one-out baseline) d log q and of value 0: [S, B]."""
    signal = jax.lax.stop_gradient(lengths - leave_one_out_mean(lengths))
    return signal * (log_q - jax.lax.stop_gradient(log_q))


def iwae(model: nn.Module, config: ConfigDict) -> Objective:
    """-log (1/S) sum_s p(x, h_s) / q(h_s|x), the importance-weighted bound."""
    surrogate = SURROGATES[config.estimator]
    needs_score = config.estimator in ("reinforce", "vimco")

    def objective(params, extra, batch, rng):
        bound = model.bind({"params": params})
        z, log_q = bound.posterior(batch).sample_with(surrogate, sample_keys(rng, config.num_samples))
        parts = code_lengths(bound, batch, z, log_q)
        log_weights = -total(parts)
        nll = jnp.log(config.num_samples) - jax.nn.logsumexp(log_weights, axis=0)
        loss = nll
        if needs_score:
            loss = loss + jnp.sum(vimco_loss(log_weights, log_q), axis=0)
        return masked_mean(loss, batch["mask"]), (extra, {**summarize(parts), "iwae_bound": nll})

    return objective


def vimco_loss(log_weights: Array, log_q: Array) -> Array:
    """A term whose gradient is VIMCO's -(L - L_without_k) d log q(h_k) and whose value is 0."""
    bound = jax.nn.logsumexp(log_weights, axis=0) - jnp.log(log_weights.shape[0])
    signal = jax.lax.stop_gradient(bound - leave_one_out_bound(log_weights))
    return -signal * (log_q - jax.lax.stop_gradient(log_q))


def negative_log_likelihood(model: nn.Module, config: ConfigDict) -> Objective:
    """-log p(x) of a `Density`."""
    del config

    def objective(params, extra, batch, rng):
        del rng
        terms = {"nll": -model.apply({"params": params}, batch, method="log_prob")}
        return masked_mean(terms["nll"], batch["mask"]), (extra, terms)

    return objective


REQUIRES = {
    "description_length": (description_length, LatentVariable),
    "iwae": (iwae, LatentVariable),
    "negative_log_likelihood": (negative_log_likelihood, Density),
}


def make(config: ConfigDict, model: nn.Module) -> Objective:
    """The objective that `config.objective` names, checked against what the model can do."""
    if config.name not in REQUIRES:
        raise ValueError(f"No objective '{config.name}'. Objectives: {', '.join(REQUIRES)}.")
    build, capability = REQUIRES[config.name]
    if not isinstance(model, capability):
        raise ValueError(
            f"Objective '{config.name}' needs a {capability.__name__}; "
            f"{type(model).__name__} is none."
        )
    if capability is LatentVariable:
        check_estimator(config)
    return build(model, config)


def check_estimator(config: ConfigDict) -> None:
    """Refuse an unknown estimator, and a leave-one-out baseline over one sample."""
    if config.estimator not in SURROGATES:
        raise ValueError(f"No estimator '{config.estimator}'. Estimators: {', '.join(SURROGATES)}.")
    wants = {"reinforce": "description_length", "vimco": "iwae"}.get(config.estimator, config.name)
    if wants != config.name:
        raise ValueError(f"Estimator '{config.estimator}' belongs to objective '{wants}', not '{config.name}'.")
    if config.estimator in ("reinforce", "vimco") and config.num_samples < 2:
        raise ValueError(
            f"Estimator '{config.estimator}' compares samples: objective.num_samples is "
            f"{config.num_samples}, expected at least 2."
        )

