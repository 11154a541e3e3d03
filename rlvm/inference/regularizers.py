"""Regularizers: functions from an objective to an objective.

`regularized(objective, model, config)` applies those that `config` names. Adaptive weight noise
keeps the log standard deviations of the weights beside their means, in `params[NOISE]`, where a
model does not look: whoever evaluates `params` evaluates the posterior means.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.inference import augmentation
from rlvm.inference.estimators import SURROGATES
from rlvm.inference.objectives import SCORE_FUNCTION, masked_mean, sample_keys, warmup
from rlvm.types import Array, Batch, LatentVariable, Objective, PyTree

NOISE = "weight_noise"  # its subtree of params: log s of every weight
GRADIENTS = ("reparameterised", "fisher")
FISHER_CHUNK = 10  # examples whose gradients are held at once


def regularized(objective: Objective, model: nn.Module, config: ConfigDict) -> Objective:
    """The objective with `config.sparsity`, `config.weight_noise` and moved images as it names."""
    if "sparsity" in config:
        objective = sparse(objective, model, config)
    if "weight_noise" in config:
        objective = weight_noise(objective, config.weight_noise)
    if "shift" in config:
        objective = augmentation.shifted(objective, config.shift)
    return objective


def with_noise_scales(params: PyTree, config: ConfigDict) -> PyTree:
    """Parameters with log s of each weight beside them, where `config` asks for weight noise."""
    if "weight_noise" not in config:
        return params
    log_scale = jnp.log(config.weight_noise.initial)
    return {**params, NOISE: jax.tree.map(lambda mean: jnp.full_like(mean, log_scale), params)}


def split_noise(params: PyTree) -> tuple[PyTree, PyTree]:
    """Means and log standard deviations."""
    return {name: tree for name, tree in params.items() if name != NOISE}, params[NOISE]


def weight_cost(means: PyTree, log_scales: PyTree) -> Array:
    """KL from the weights' posterior to their prior, in nats (Graves 2011).

    Posterior N(mu_i, s_i^2); each tensor has a prior N(m, s^2) at its optimum m = mean(mu_i),
    s^2 = mean(s_i^2 + (mu_i - m)^2), where the KL is sum_i log(s / s_i).
    """

    def cost(mean, log_scale):
        variance = jnp.mean(jnp.exp(2 * log_scale) + jnp.square(mean - jnp.mean(mean)))
        return jnp.sum(0.5 * jnp.log(variance) - log_scale)

    return jax.tree.reduce(jnp.add, jax.tree.map(cost, means, log_scales))


def weight_noise(objective: Objective, config: ConfigDict) -> Objective:
    """E over the weights' posterior of the objective + KL / N_train, by one draw a step.

    `gradient` is 'reparameterised' (unbiased) or 'fisher', Graves' dL/ds_i^2 = E[g_i^2] / 2 with
    the gradients g of single examples. The draw is shared by the batch and follows from the step.
    """
    if config.gradient not in GRADIENTS:
        raise ValueError(
            f"No weight_noise.gradient '{config.gradient}'. Known: {', '.join(GRADIENTS)}."
        )
    fisher = config.gradient == "fisher"

    def noisy(params, extra, batch, rng):
        means, log_scales = split_noise(params)
        held = jax.lax.stop_gradient(log_scales) if fisher else log_scales
        weights = draw_weights(means, held, jax.random.fold_in(jax.random.key(0), batch["step"]))
        loss, (extra, terms) = objective(weights, extra, batch, rng)
        if fisher:
            squares = mean_square_gradients(objective, weights, extra, batch, rng)
            loss = loss + fisher_term(squares, log_scales)
        cost = weight_cost(means, log_scales) / config.examples
        terms = {**terms, "weight_cost": jnp.full_like(batch["mask"], cost)}
        return loss + cost, (extra, terms)

    return noisy


def draw_weights(means: PyTree, log_scales: PyTree, key: Array) -> PyTree:
    """mu_i + s_i epsilon_i."""
    leaves, structure = jax.tree.flatten(means)
    keys = jax.tree.unflatten(structure, list(jax.random.split(key, len(leaves))))

    def draw(mean, log_scale, key):
        return mean + jnp.exp(log_scale) * jax.random.normal(key, mean.shape)

    return jax.tree.map(draw, means, log_scales, keys)


def fisher_term(squares: PyTree, log_scales: PyTree) -> Array:
    """Value 0; its gradient in log s_i is 2 s_i^2 E[g_i^2] / 2."""

    def term(square, log_scale):
        slope = jax.lax.stop_gradient(square * jnp.exp(2 * log_scale))
        return jnp.sum(slope * (log_scale - jax.lax.stop_gradient(log_scale)))

    return jax.tree.reduce(jnp.add, jax.tree.map(term, squares, log_scales))


def mean_square_gradients(
    objective: Objective, weights: PyTree, extra: PyTree, batch: Batch, rng: Array
) -> PyTree:
    """Mean over the real examples of the squared gradient of each example's loss."""
    per_example = {name: value for name, value in batch.items() if name != "step"}
    weights = jax.lax.stop_gradient(weights)

    def gradient(example):
        fields, key = example
        alone = {**jax.tree.map(lambda value: value[None], fields), "step": batch["step"]}
        return jax.grad(lambda w: objective(w, extra, alone, key[None])[0])(weights)

    def add(total, chunk):
        grads = jax.vmap(gradient)(chunk)  # an example with mask 0 has gradient 0
        return jax.tree.map(lambda t, g: t + jnp.sum(jnp.square(g), axis=0), total, grads), None

    size = len(rng)
    chunk = max(c for c in range(1, FISHER_CHUNK + 1) if size % c == 0)
    chunks = jax.tree.map(lambda v: v.reshape(-1, chunk, *v.shape[1:]), (per_example, rng))
    total, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, weights), chunks)
    return jax.tree.map(lambda t: t / jnp.maximum(jnp.sum(batch["mask"]), 1.0), total)


def sparse(objective: Objective, model: nn.Module, config: ConfigDict) -> Objective:
    """The objective + weight units (share of units that are 1 - target)^2 for each example.

    The penalty is quadratic in every unit, so that DARN's estimator is exact for it. It grows over
    the first `ramp_steps` updates: at once it would switch off units that mean nothing yet, for
    good. It reuses the objective's own draw of h (the same keys; the compiler removes the
    repetition).
    """
    if not isinstance(model, LatentVariable):
        raise ValueError(f"Sparsity needs a LatentVariable; {type(model).__name__} is none.")
    if config.estimator in SCORE_FUNCTION:
        raise ValueError(
            f"Sparsity needs a gradient through the units, which '{config.estimator}' does not "
            "give; use objective.estimator=darn or straight_through."
        )
    target = config.sparsity.target
    surrogate = SURROGATES[config.estimator]

    def penalized(params, extra, batch, rng):
        loss, (extra, terms) = objective(params, extra, batch, rng)
        keys = sample_keys(rng, config.num_samples)
        posterior = model.bind({"params": params}).posterior(batch)
        h, _ = posterior.sample_with(surrogate, keys)  # [S, B, units]
        share = jnp.mean(h, axis=-1)
        weight = config.sparsity.weight * warmup(config.sparsity.ramp_steps, batch["step"])
        penalty = weight * h.shape[-1] * jnp.mean(jnp.square(share - target), axis=0)
        terms = {**terms, "active_share": jnp.mean(share, axis=0), "sparsity_penalty": penalty}
        return loss + masked_mean(penalty, batch["mask"]), (extra, terms)

    return penalized
