"""DARN on Connect-4 (table 1 of Gregor et al. 2014, row DARN, column Connect4).

python launch/train.py --config=configs/darn/connect4.py --manual_dir=M --workdir=runs/connect4

With `uci_connect4.npz` in M it trains on the split the published numbers use; without, on our own
split of the same 67,557 rows. Argument `demo`: a short run on our own split, about two minutes on
2 cores.
"""

from rlvm.jobs.config import base


def get_config(argument: str = ""):
    config = base()
    config.data.name = "connect4"
    config.model.name = "darn"
    config.model.stochastic_units = (128,)
    config.model.deterministic_units = (300,)
    config.model.autoregressive_encoder = False
    config.model.autoregressive_visibles = True
    config.model.skip = False
    config.objective.name = "iwae"
    config.objective.num_samples = 5
    config.optimizer.learning_rate = 2e-3
    config.optimizer.schedule = "constant"
    config.optimizer.weight_decay = 0.01
    config.optimizer.ema_decay = 0.9998
    config.train.num_steps = 80_000
    config.train.eval_every = 1_600
    config.train.log_every = 800
    config.train.checkpoint_every = 8_000
    config.train.early_stopping_evals = 6
    if argument == "demo":
        config.data.name = "connect4/own_split"
        config.objective.num_samples = 3
        config.optimizer.schedule = "cosine"
        config.optimizer.ema_decay = 0.999
        config.train.num_steps = 25_000
        config.train.eval_every = 1_000
    return config


def tiny():
    config = get_config()
    config.model.stochastic_units = (5,)
    config.model.deterministic_units = (7,)
    return config
