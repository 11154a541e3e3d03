"""Deep DARN on binarised MNIST: 12 stochastic layers of 80 units, the last row of table 2.

python launch/train.py --config=configs/darn/deep.py --workdir=runs/deep

400 tanh units below each stochastic layer, all of them fed by every stochastic layer drawn before
(skip connections). About seven times the arithmetic of the model with one layer of 500 units: 57 ms
a step on one core (AMD EPYC), so that all 150,000 steps are 2.4 hours there.
"""

from rlvm.configs.darn.binarized_mnist import with_moved_images
from rlvm.jobs.config import darn

LAYERS = 12


def get_config(argument: str = ""):
    stochastic, deterministic = (80,) * LAYERS, (400,) * LAYERS
    config = darn(stochastic, deterministic, autoregressive_visibles=False, skip=True)
    config.data.name = "binarized_mnist"
    config.optimizer.ema_decay = 0.9995
    config.train.eval_every = 2_500
    config.train.log_every = 500
    config.train.checkpoint_every = 2_500
    return with_moved_images(config, 150_000)


def tiny():
    config = get_config()
    config.model.stochastic_units = (3, 2, 2)
    config.model.deterministic_units = (3, 3, 3)
    return config
