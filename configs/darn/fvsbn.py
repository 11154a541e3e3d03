"""FVSBN, the DARN without latents, on Connect-4: the baseline row of table 1.

python launch/train.py --config=configs/darn/fvsbn.py --workdir=runs/fvsbn
"""

from rlvm.jobs.config import base


def get_config(argument: str = ""):
    config = base()
    config.data.name = "connect4"
    config.model.name = "fvsbn"
    config.objective.name = "negative_log_likelihood"
    config.optimizer.learning_rate = 0.01
    config.train.num_steps = 8_000
    return config
