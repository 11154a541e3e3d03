"""fDARN on binarised MNIST: 400 units of which 5% are active, so that sampling is cheap.

python launch/train.py --config=configs/darn/fdarn.py --workdir=runs/fdarn

The decoder is linear in h: a draw costs n_s (n_x + n_h) = 20 (784 + 400) = 23,680 multiplications
(`rlvm.models.fast_sampling` counts them); the paper gives 2.4e4. Its bound is 96.1.
"""

from ml_collections import ConfigDict

from rlvm.jobs.config import base


def get_config(argument: str = ""):
    config = base()
    config.data.name = "binarized_mnist"
    config.model.name = "darn"
    config.model.stochastic_units = (400,)
    config.model.deterministic_units = (500,)
    config.model.autoregressive_encoder = False
    config.model.autoregressive_visibles = False
    config.model.skip = False
    config.model.linear_decoder = True
    config.objective.sparsity = ConfigDict({"weight": 20.0, "target": 0.05})
    config.optimizer.ema_decay = 0.9995
    config.train.num_steps = 150_000
    config.train.eval_every = 2_500
    config.train.log_every = 2_500
    config.train.checkpoint_every = 5_000
    return config


def tiny():
    config = get_config()
    config.model.stochastic_units = (4,)
    config.model.deterministic_units = (3,)
    return config
