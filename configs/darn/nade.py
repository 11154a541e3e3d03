"""NADE and EoNADE as densities: rows of tables 1 and 2 of Gregor et al. (2014).

python launch/train.py --config=configs/darn/nade.py:uci_binary/adult --manual_dir=M --workdir=W
python launch/train.py --config=configs/darn/nade.py:connect4,eonade --manual_dir=M --workdir=W

The argument names a data set of binary vectors. EoNADE trains on a fresh ordering for each example
and is evaluated as the mixture of fixed ones, 16 as in table 1, on MNIST 128 as in table 2.
One to four minutes on one core (AMD EPYC) for the UCI sets. On `binarized_mnist` (500 hidden units)
NADE evaluates thirty times as many hidden units a step as on Connect-4, where a step takes 6 ms:
hours. EoNADE's step stays cheap there, its validation under 128 orderings does not.
"""

from rlvm.jobs.config import base


def get_config(argument: str = "uci_binary/adult"):
    name, _, variant = argument.partition(",")
    mnist = name == "binarized_mnist"
    config = base()
    config.data.name = name
    config.model.name = "nade"
    config.model.hidden_units = 500 if mnist else 100
    config.model.orderings = 0
    config.objective.name = "negative_log_likelihood"
    config.optimizer.learning_rate = 3e-3
    config.optimizer.weight_decay = 0.01
    config.optimizer.ema_decay = 0.999
    config.train.num_steps = 20_000
    config.train.eval_every = 500
    config.train.log_every = 500
    config.train.checkpoint_every = 5_000
    return eonade(config, 128 if mnist else 16) if variant == "eonade" else config


def eonade(config, orderings: int):
    config.model.orderings = orderings
    config.model.hidden_units = max(config.model.hidden_units, 200)
    config.objective.name = "order_agnostic"
    config.optimizer.learning_rate = 2e-3
    config.train.num_steps = 80_000
    config.train.eval_every = 5_000  # each validation runs all orderings, unit block by unit block
    config.train.log_every = 1_000
    return config


def tiny():
    config = get_config()
    config.model.hidden_units = 3
    return config
