"""Deep DARN on binarised MNIST: 12 stochastic layers of 80 units, the last row of table 2.

python launch/train.py --config=configs/darn/deep.py --workdir=runs/deep
python launch/train.py --config=configs/darn/deep.py:paper --workdir=runs/deep_paper

400 tanh units below each stochastic layer, all of them fed by every stochastic layer drawn before
(skip connections). About seven times the arithmetic of the model with one layer of 500 units: 57 ms
a step on one core (AMD EPYC), so that all 150,000 steps are 2.4 hours there. With `paper` its
optimizer, RMSprop at 3e-5, on images as they are, and biases that start at zero.
"""

from rlvm.configs.darn.binarized_mnist import with_moved_images, with_rmsprop
from rlvm.jobs.config import darn

LAYERS = 12


def get_config(argument: str = ""):
    stochastic, deterministic = (80,) * LAYERS, (400,) * LAYERS
    config = darn(stochastic, deterministic, autoregressive_visibles=False, skip=True)
    config.data.name = "binarized_mnist"
    config.optimizer.ema_decay = 0.9995
    config.train.num_steps = 150_000
    config.train.eval_every = 2_500
    config.train.log_every = 500
    config.train.checkpoint_every = 2_500
    if argument == "paper":
        return with_rmsprop(config)
    config.model.background = True  # else most of the 960 units come to stand for it, for good
    return with_moved_images(config)


def tiny():
    config = get_config()
    config.model.stochastic_units = (3, 2, 2)
    config.model.deterministic_units = (3, 3, 3)
    return config
