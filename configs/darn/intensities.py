"""DARN on MNIST's pixel intensities (fig. 2, right): cross-entropy on values in [0, 1].

python launch/train.py --config=configs/darn/intensities.py --workdir=runs/intensities

400 stochastic units, 1000 tanh units in encoder and decoder. The cross-entropy of an intensity is
no log likelihood: only the probabilities it learns are of interest.
"""

from rlvm.jobs.config import base


def get_config(argument: str = ""):
    config = base()
    config.data.name = "mnist/grey"
    config.model.name = "darn"
    config.model.stochastic_units = (400,)
    config.model.deterministic_units = (1000,)
    config.model.autoregressive_encoder = False
    config.model.autoregressive_visibles = False
    config.model.skip = False
    config.optimizer.ema_decay = 0.9995
    config.train.num_steps = 100_000
    config.train.eval_every = 2_500
    config.train.log_every = 2_500
    config.train.checkpoint_every = 5_000
    return config


def tiny():
    config = get_config()
    config.model.stochastic_units = (4,)
    config.model.deterministic_units = (3,)
    return config
