"""DARN with adaptive weight noise on binarised MNIST (the adaNoise rows of table 2).

python launch/train.py --config=configs/darn/mnist_noise.py:500 --workdir=runs/noise
python launch/train.py --config=configs/darn/mnist_noise.py:500,paper --workdir=runs/noise_paper

The argument is the number of stochastic units, and `paper` for the paper's optimizer: RMSprop,
momentum 0.9, rate 3e-5, and Graves' Fisher update of the noise, which needs the gradients of single
examples. Otherwise Adam and the reparameterised gradient.
"""

from ml_collections import ConfigDict

from rlvm.configs.darn.binarized_mnist import one_layer, with_rmsprop


def get_config(argument: str = "500"):
    units, _, variant = argument.partition(",")
    config = one_layer(int(units))
    noise = {"initial": 0.03, "gradient": "reparameterised", "examples": 50_000}
    config.objective.weight_noise = ConfigDict(noise)
    config.optimizer.name = "adam"  # decay would pull log s to 0
    if variant == "paper":
        config.objective.weight_noise.initial = 0.075
        config.objective.weight_noise.gradient = "fisher"
        return with_rmsprop(config)
    return config


def tiny():
    config = get_config("4")
    config.model.deterministic_units = (3,)
    return config
