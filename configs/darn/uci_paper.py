"""DARN on the sets of table 1 with the paper's own optimizer, RMSprop (Gregor et al. 2014).

python launch/train.py --config=configs/darn/uci_paper.py:adult --manual_dir=M --workdir=runs/adult

The argument is a set of `configs/darn/uci.py`, or connect4; `configs/sweeps/darn_uci.py` searches
the sizes as the paper did. Of its three learning rates this is the largest; the others are 6.75e-5
and 1e-5. Triangular kernels, no dropout, early stopping by validation. Not run to its end.
"""

from rlvm.configs.darn import connect4, uci
from rlvm.configs.darn.binarized_mnist import with_rmsprop


def get_config(argument: str = "adult"):
    config = connect4.get_config() if argument == "connect4" else uci.get_config(argument)
    config.model.visible_nade = 0
    config.model.dropout = config.model.input_dropout = 0.0
    config.objective.free_bits = 0.0
    config.optimizer.warmup_steps = 0
    config.optimizer.weight_decay = 0.0
    config.optimizer.ema_decay = 0.0
    config.train.num_steps = 500_000
    config.train.eval_every = 1_000
    config.train.early_stopping_evals = 10
    return with_rmsprop(config, 2.5e-4)


def tiny():
    config = get_config()
    config.model.stochastic_units = (5,)
    config.model.deterministic_units = (7,)
    return config
