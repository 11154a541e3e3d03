"""DARN on MNIST's pixel intensities (fig. 2, right): cross-entropy on values in [0, 1].

python launch/train.py --config=configs/darn/intensities.py --workdir=runs/intensities

400 stochastic units, 1000 tanh units in encoder and decoder. The cross-entropy of an intensity is
no log likelihood: only the probabilities it learns are of interest (launch/report.py
--plot=probabilities). About twice the arithmetic of nh = 500.
"""

from rlvm.configs.darn.binarized_mnist import one_layer


def get_config(argument: str = ""):
    config = one_layer(400)
    config.data.name = "mnist/grey"
    config.model.deterministic_units = (1000,)
    config.train.num_steps = 100_000
    return config


def tiny():
    config = get_config()
    config.model.stochastic_units = (4,)
    config.model.deterministic_units = (3,)
    return config
