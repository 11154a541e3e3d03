"""Optimizers and learning-rate schedules from a config, all of them optax's."""

import optax
from ml_collections import ConfigDict

OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine")


def schedule(config: ConfigDict, num_steps: int) -> optax.Schedule:
    """Learning rate by step: linear warm-up, then constant or a cosine to zero."""
    rate, warmup = config.learning_rate, config.warmup_steps
    if config.schedule not in SCHEDULES:
        raise ValueError(f"No schedule '{config.schedule}'. Schedules: {', '.join(SCHEDULES)}.")
    after = max(num_steps - warmup, 1)
    cosine = config.schedule == "cosine"
    main = optax.cosine_decay_schedule(rate, after) if cosine else optax.constant_schedule(rate)
    if not warmup:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), main], [warmup])


def build(config: ConfigDict, num_steps: int) -> optax.GradientTransformation:
    """Clipping, then the optimizer that `config.optimizer` names, with its schedule."""
    rate = schedule(config, num_steps)
    if config.name == "adam":
        chain = optax.adam(rate, b1=config.momentum)
    elif config.name == "adamw":
        chain = optax.adamw(rate, b1=config.momentum, weight_decay=config.weight_decay)
    elif config.name == "rmsprop":  # Graves (2013), eqs. 38-45: centred, momentum on the update
        chain = optax.rmsprop(rate, decay=0.95, eps=1e-4, centered=True, momentum=config.momentum)
    elif config.name == "sgd":
        chain = optax.sgd(rate, momentum=config.momentum)
    else:
        raise ValueError(f"No optimizer '{config.name}'. Optimizers: {', '.join(OPTIMIZERS)}.")
    if config.clip_norm:
        return optax.chain(optax.clip_by_global_norm(config.clip_norm), chain)
    return chain
