"""FVSBN, the DARN without latents: the baseline row of table 1 of Gregor et al. (2014).

python launch/train.py --config=configs/darn/fvsbn.py:connect4 --workdir=runs/fvsbn

The argument names the data set.
"""

from rlvm.jobs.config import base


def get_config(argument: str = ""):
    config = base()
    config.data.name = argument or "connect4"
    config.model.name = "fvsbn"
    config.objective.name = "negative_log_likelihood"
    config.optimizer.learning_rate = 0.05
    config.train.num_steps = 8_000
    return config


def tiny():
    return get_config()
