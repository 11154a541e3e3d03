"""DARN on binarised MNIST with autoregressive visibles: beyond the rows of table 2.

python launch/train.py --config=configs/darn/mnist_tuned.py --workdir=runs/mnist_tuned

The paper's MNIST models have independent visibles given h. The triangular kernel over the 784
pixels costs half as much again a step, but tells the pixels' local structure at once, so that the
latents need not: far fewer epochs reach the same bound.
"""

from rlvm.configs.darn.binarized_mnist import one_layer


def get_config(argument: str = ""):
    config = one_layer(200)
    config.model.deterministic_units = (400,)
    config.model.autoregressive_visibles = True
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup_steps = 200
    config.optimizer.weight_decay = 0.05
    config.optimizer.ema_decay = 0.999
    config.train.num_steps = 24_000
    config.train.eval_every = 2_000
    config.train.log_every = 2_000
    config.train.checkpoint_every = 2_000
    return config


def tiny():
    config = get_config()
    config.model.stochastic_units = (4,)
    config.model.deterministic_units = (3,)
    return config
