"""DARN on Connect-4 (table 1 of Gregor et al. 2014, row DARN, column Connect4).

python launch/train.py --config=configs/darn/connect4.py --manual_dir=M --workdir=runs/connect4

With `uci_connect4.npz` in M it trains on the split the published numbers use; without, on our own
split of the same 67,557 rows. p(x|h) is a NADE whose hidden units see h (sec. 2.1), p(h) a
triangular kernel. Some minutes on 2 cores.

Argument `linear`: a triangular kernel for p(x|h) too, as in the paper's table; trained on the
importance-weighted bound, without which that kernel takes over from the latents.
Argument `demo`: the same, shorter and on our own split: about two minutes on 2 cores.
"""

from rlvm.jobs.config import darn


def get_config(argument: str = ""):
    config = darn((128,), (300,))
    config.data.name = "connect4"
    config.optimizer.weight_decay = 0.01
    config.train.log_every = 800
    config.train.eval_every = 800
    config.train.checkpoint_every = 4_000
    if not argument:
        config.model.visible_nade = 100
        config.optimizer.learning_rate = 3e-3
        config.optimizer.ema_decay = 0.9995
        config.train.num_steps = 24_000
        return config
    config.objective.name = "iwae"
    config.objective.num_samples = 4
    config.optimizer.learning_rate = 2e-3
    config.optimizer.ema_decay = 0.9995
    config.train.num_steps = 40_000
    if argument == "demo":
        config.data.name = "connect4/own_split"
        config.objective.num_samples = 3
        config.optimizer.ema_decay = 0.999
        config.train.num_steps = 25_000
    return config


def tiny():
    config = get_config()
    config.model.stochastic_units = (5,)
    config.model.deterministic_units = (7,)
    config.model.visible_nade = 6
    return config
