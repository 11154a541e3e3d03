"""Training objectives over the three distributions: functions of (params, extra, batch, rng).

Each returns (loss, (extra, terms)): the mean loss over the real examples of the batch, and terms
[B] in nats per example. `make(config.objective, model)` picks one by name.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.inference.contrastive_divergence import EnergyBased, contrastive_divergence
from rlvm.inference.estimators import SURROGATES, leave_one_out_bound, leave_one_out_mean
from rlvm.inference.expectation_maximization import Mixture, expectation_maximization
from rlvm.inference.fivo import fivo
from rlvm.inference.orderings import OrderAgnostic, order_agnostic
from rlvm.inference.particle_filter import Filterable
from rlvm.inference.predictor import predicted
from rlvm.types import (
    Array,
    Batch,
    Density,
    LatentVariable,
    Objective,
    Predictor,
    Surrogate,
    Terms,
)

SCORE_FUNCTION = {"reinforce": "description_length", "vimco": "iwae"}  # estimator: its objective


def sample_keys(rng: Array, num_samples: int) -> Array:
    """Keys [S, ...] for S draws from each key of `rng` [...]."""
    return fold_in_samples(rng, jnp.arange(num_samples))


def fold_in_samples(rng: Array, samples: Array) -> Array:
    """Keys [S, B] for the draws numbered `samples` [S] of each example's key [B]."""
    return jax.vmap(lambda s: jax.vmap(lambda key: jax.random.fold_in(key, s))(rng))(samples)


def masked_mean(values: Array, mask: Array) -> Array:
    """Mean of `values` [B] over the examples whose `mask` [B] is 1."""
    if values.shape != mask.shape:
        raise ValueError(
            f"A term has shape {values.shape}; expected one value per example: {mask.shape}."
        )
    return jnp.sum(jnp.where(mask > 0, values, 0.0)) / jnp.maximum(jnp.sum(mask), 1.0)


def code_lengths(model: LatentVariable, batch: Batch, z: Array, log_q: Array) -> Terms:
    """The parts of the description length at z (eqs. 11-15), in nats: [S, B] each."""
    distortion = -model.likelihood(z, batch).log_prob(batch["x"])
    prior_cost = -model.prior(batch).log_prob(z)
    entropy = -log_q
    return {
        "distortion": distortion,
        "prior_cost": prior_cost,
        "entropy": entropy,
        "rate": prior_cost - entropy,
    }


def sample_code_lengths(
    model: LatentVariable, batch: Batch, surrogate: Surrogate, keys: Array
) -> Terms:
    """Draw z from q(z|x) and price it; a model whose rate is analytic does so itself."""
    if hasattr(model, "code_lengths"):
        return model.code_lengths(batch, keys)
    z, log_q = model.posterior(batch).sample_with(surrogate, keys)
    return code_lengths(model, batch, z, log_q)


def summarize(parts: Terms) -> Terms:
    """Means over the samples and the description length = distortion + rate: [B]."""
    terms = {name: jnp.mean(value, axis=0) for name, value in parts.items()}
    return {**terms, "description_length": terms["distortion"] + terms["rate"]}


def annealed(terms: Terms, config: ConfigDict, step: Array) -> Array:
    """distortion + beta max(rate, free bits), beta rising to 1 over `kl_warmup_steps`: [B]."""
    if not config.kl_warmup_steps and not config.free_bits:
        return terms["description_length"]
    rate = terms["rate"]  # of few samples it may be negative: not to be clipped at 0
    if config.free_bits:
        rate = jnp.maximum(rate, config.free_bits)
    return terms["distortion"] + warmup(config.kl_warmup_steps, step) * rate


def warmup(num_steps: int, step: Array) -> Array:
    """A weight that rises linearly to 1 over the first `num_steps` updates."""
    return jnp.minimum(1.0, (step + 1) / max(num_steps, 1))


def rate_slope(terms: Terms, config: ConfigDict, step: Array) -> Array:
    """How `annealed` grows with the rate: beta, or 0 within the free bits: [B]."""
    counts = (terms["rate"] > config.free_bits) if config.free_bits else 1.0
    return warmup(config.kl_warmup_steps, step) * counts


def description_length(model: nn.Module, config: ConfigDict) -> Objective:
    """E_q[-log p(x|h) - log p(h) + log q(h|x)] with one of the gradient estimators."""
    if config.estimator in SCORE_FUNCTION:
        return reinforce(model, config)
    surrogate = SURROGATES[config.estimator]

    def objective(params, extra, batch, rng):
        bound = model.bind({"params": params})
        keys = sample_keys(rng, config.num_samples)
        terms = summarize(sample_code_lengths(bound, batch, surrogate, keys))
        loss = annealed(terms, config, batch["step"])
        return masked_mean(loss, batch["mask"]), (extra, terms)

    return objective


def reinforce(model: nn.Module, config: ConfigDict) -> Objective:
    """The description length with the score function and a leave-one-out baseline."""

    def objective(params, extra, batch, rng):
        log_q, parts = sampled_lengths(model.bind({"params": params}), config, batch, rng)
        terms = summarize(parts)
        loss = annealed(terms, config, batch["step"])
        slope = rate_slope(terms, config, batch["step"])
        score = reinforce_term(parts["distortion"] + slope * parts["rate"], log_q)
        loss = loss + jnp.mean(score, axis=0)
        return masked_mean(loss, batch["mask"]), (extra, terms)

    return objective


def sampled_lengths(model: LatentVariable, config: ConfigDict, batch: Batch, rng: Array):
    """(log q, code lengths) of S draws through the estimator's surrogate: [S, B]."""
    keys = sample_keys(rng, config.num_samples)
    z, log_q = model.posterior(batch).sample_with(SURROGATES[config.estimator], keys)
    return log_q, code_lengths(model, batch, z, log_q)


def reinforce_term(lengths: Array, log_q: Array) -> Array:
    """Value 0, gradient (f - leave-one-out baseline) d log q: [S, B]."""
    signal = jax.lax.stop_gradient(lengths - leave_one_out_mean(lengths))
    return signal * (log_q - jax.lax.stop_gradient(log_q))


def iwae(model: nn.Module, config: ConfigDict) -> Objective:
    """-log (1/S) sum_s p(x, h_s) / q(h_s|x), the importance-weighted bound."""

    def objective(params, extra, batch, rng):
        log_q, parts = sampled_lengths(model.bind({"params": params}), config, batch, rng)
        log_weights = -(parts["distortion"] + parts["rate"])
        bound = jnp.log(config.num_samples) - jax.nn.logsumexp(log_weights, axis=0)
        loss = bound
        if config.estimator in SCORE_FUNCTION:
            loss = loss + jnp.sum(vimco_term(log_weights, log_q), axis=0)
        return masked_mean(loss, batch["mask"]), (extra, {**summarize(parts), "iwae_bound": bound})

    return objective


def vimco_term(log_weights: Array, log_q: Array) -> Array:
    """Value 0, gradient -(L - L with w_k replaced) d log q(h_k), L the K-sample bound: [K, B]."""
    bound = jax.nn.logsumexp(log_weights, axis=0) - jnp.log(log_weights.shape[0])
    signal = jax.lax.stop_gradient(bound - leave_one_out_bound(log_weights))
    return -signal * (log_q - jax.lax.stop_gradient(log_q))


def negative_log_likelihood(model: nn.Module, config: ConfigDict) -> Objective:
    """-log p(x) of a `Density`."""
    del config

    def objective(params, extra, batch, rng):
        del rng
        nll = -model.apply({"params": params}, batch, method="log_prob")
        return masked_mean(nll, batch["mask"]), (extra, {"nll": nll})

    return objective


REQUIRES = {
    "description_length": (description_length, LatentVariable),
    "iwae": (iwae, LatentVariable),
    "negative_log_likelihood": (negative_log_likelihood, Density),
    "contrastive_divergence": (contrastive_divergence, EnergyBased),
    "expectation_maximization": (expectation_maximization, Mixture),
    "order_agnostic": (order_agnostic, OrderAgnostic),
    "prediction": (predicted, Predictor),
    "fivo": (fivo, Filterable),
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
    if capability in (LatentVariable, Filterable):
        check_estimator(config)
    return build(model, config)


def check_estimator(config: ConfigDict) -> None:
    """Refuse an unknown estimator, and a leave-one-out baseline over one sample."""
    name, samples = config.estimator, config.num_samples
    if name not in SURROGATES:
        raise ValueError(f"No estimator '{name}'. Estimators: {', '.join(SURROGATES)}.")
    if samples < 1:
        raise ValueError(f"objective.num_samples is {samples}; expected at least 1.")
    if config.name in ("iwae", "fivo") and (config.kl_warmup_steps or config.free_bits):
        raise ValueError(
            f"Objective '{config.name}' has no rate to anneal: objective.kl_warmup_steps and "
            "objective.free_bits must be 0."
        )
    if SCORE_FUNCTION.get(name, config.name) != config.name:
        raise ValueError(
            f"Estimator '{name}' belongs to objective '{SCORE_FUNCTION[name]}', "
            f"not to '{config.name}'."
        )
    if name in SCORE_FUNCTION and samples < 2:
        raise ValueError(
            f"Estimator '{name}' compares samples: objective.num_samples is {samples}, "
            "expected at least 2."
        )
