"""Optimizers and learning-rate schedules from a config, all of them optax's."""

import functools

import jax
import optax
from ml_collections import ConfigDict

from rlvm.types import PyTree

OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine")


def schedule(config: ConfigDict, num_steps: int) -> optax.Schedule:
    """Learning rate by step: linear warm-up, then a cosine to zero or a halved constant."""
    rate, warmup = config.learning_rate, config.warmup_steps
    if config.schedule not in SCHEDULES:
        raise ValueError(f"No schedule '{config.schedule}'. Schedules: {', '.join(SCHEDULES)}.")
    after = max(num_steps - warmup, 1)
    cosine = config.schedule == "cosine"
    main = optax.cosine_decay_schedule(rate, after) if cosine else optax.constant_schedule(rate)
    if not cosine and config.get("halve_at", ()):
        main = optax.piecewise_constant_schedule(rate, dict.fromkeys(config.halve_at, 0.5))
    if not warmup:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), main], [warmup])


def build(config: ConfigDict, num_steps: int) -> optax.GradientTransformation:
    """Clipping, then the optimizer that `config.optimizer` names, with its schedule."""
    rate = schedule(config, num_steps)
    if config.name == "adam":
        chain = optax.adam(rate, b1=config.momentum)
    elif config.name == "adamw":
        exempt = tuple(config.get("decay_exempt", ()))  # a mask changes the state's structure
        mask = functools.partial(decayed, exempt=exempt) if exempt else None
        chain = optax.adamw(rate, b1=config.momentum, weight_decay=config.weight_decay, mask=mask)
    elif config.name == "rmsprop":  # Graves (2013), eqs. 38-45: centred, momentum on the update
        chain = optax.rmsprop(rate, decay=0.95, eps=1e-4, centered=True, momentum=config.momentum)
    elif config.name == "sgd":
        chain = optax.sgd(rate, momentum=config.momentum)
    else:
        raise ValueError(f"No optimizer '{config.name}'. Optimizers: {', '.join(OPTIMIZERS)}.")
    if config.clip_norm:
        return optax.chain(optax.clip_by_global_norm(config.clip_norm), chain)
    return chain


def decayed(params: PyTree, exempt: tuple[str, ...]) -> PyTree:
    """Which parameters decay: those with no name of `exempt` in their path.

    Triangular kernels hold near-certain constraints (one-hot bits), whose weights must grow large.
    """

    def decays(path, _):
        return not any(name in jax.tree_util.keystr(path) for name in exempt)

    return jax.tree_util.tree_map_with_path(decays, params)
