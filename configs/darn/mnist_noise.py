"""DARN with adaptive weight noise on binarised MNIST (the adaNoise rows of table 2).

python launch/train.py --config=configs/darn/mnist_noise.py:500 --workdir=runs/noise
python launch/train.py --config=configs/darn/mnist_noise.py:500,paper --workdir=runs/noise_paper

The argument is the number of stochastic units, and `paper` for the paper's optimizer: RMSprop,
momentum 0.9, rate 3e-5, and Graves' Fisher update of the noise, which needs the gradients of single
examples. Otherwise Adam and the reparameterised gradient.
"""

from ml_collections import ConfigDict

from rlvm.jobs.config import base


def get_config(argument: str = "500"):
    units, _, variant = argument.partition(",")
    config = base()
    config.data.name = "binarized_mnist"
    config.model.name = "darn"
    config.model.stochastic_units = (int(units),)
    config.model.deterministic_units = (100,) if int(units) <= 16 else (500,)
    config.model.autoregressive_encoder = False
    config.model.autoregressive_visibles = False
    config.model.skip = False
    noise = {"initial": 0.03, "gradient": "reparameterised", "examples": 50_000}
    config.objective.weight_noise = ConfigDict(noise)
    config.optimizer.name = "adam"  # decay would pull log s to 0
    config.optimizer.ema_decay = 0.9995
    config.train.num_steps = 150_000
    config.train.eval_every = 2_500
    config.train.log_every = 2_500
    config.train.checkpoint_every = 5_000
    if variant == "paper":
        config.objective.weight_noise.initial = 0.075
        config.objective.weight_noise.gradient = "fisher"
        config.optimizer.name = "rmsprop"
        config.optimizer.learning_rate = 3e-5
        config.optimizer.schedule = "constant"
    return config


def tiny():
    config = get_config("4")
    config.model.deterministic_units = (3,)
    return config
