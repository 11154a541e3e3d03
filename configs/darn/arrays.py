"""DARN on your own binary vectors: any `.npz` with `train` [N, D], and `valid`, `test` if any.

python launch/train.py --config=configs/darn/arrays.py --config.data.path=my.npz --workdir=W

Autoregressive visibles and early stopping on the validation bound: a few thousand rows take a few
minutes on 2 cores.
"""

from rlvm.jobs.config import darn


def get_config(argument: str = ""):
    config = darn((64,), (200,))
    config.data.name = "arrays"
    config.optimizer.learning_rate = 2e-3
    config.optimizer.schedule = "constant"
    config.optimizer.weight_decay = 0.03
    config.optimizer.ema_decay = 0.999
    config.train.num_steps = 40_000
    config.train.batch_size = 100
    config.train.eval_every = 500
    config.train.log_every = 500
    config.train.checkpoint_every = 5_000
    config.train.early_stopping_evals = 8
    return config


def tiny():
    config = get_config()
    config.model.stochastic_units = (5,)
    config.model.deterministic_units = (7,)
    return config
