"""NADE and EoNADE as densities: baselines of tables 1 and 2.

python launch/train.py --config=configs/darn/nade.py:uci_binary/adult --manual_dir=M --workdir=W
python launch/train.py --config=configs/darn/nade.py:connect4,eonade --workdir=W

The argument names a data set of binary vectors. EoNADE trains on a fresh ordering for each example
and is evaluated as the mixture of 16 fixed ones, as table 1 has it.
"""

from rlvm.jobs.config import base


def get_config(argument: str = "uci_binary/adult"):
    name, _, variant = argument.partition(",")
    config = base()
    config.data.name = name
    config.model.name = "nade"
    config.model.hidden_units = 200
    config.model.orderings = 0
    config.objective.name = "negative_log_likelihood"
    config.optimizer.weight_decay = 0.01
    config.optimizer.ema_decay = 0.999
    config.train.num_steps = 20_000
    config.train.eval_every = 500
    config.train.log_every = 500
    config.train.checkpoint_every = 5_000
    config.train.early_stopping_evals = 8
    if variant == "eonade":
        config.model.orderings = 16
        config.objective.name = "order_agnostic"
        config.optimizer.learning_rate = 2e-3
        config.train.num_steps = 40_000
    return config


def tiny():
    config = get_config()
    config.model.hidden_units = 3
    return config
