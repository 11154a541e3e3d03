"""DARN on binarised MNIST with autoregressive visibles: beyond the rows of table 2.

python launch/train.py --config=configs/darn/mnist_tuned.py --workdir=runs/mnist_tuned

The paper's MNIST models have independent visibles given h. The triangular kernel over the 784
pixels tells their local structure at once, so that the latents need not. About 10 ms a step on one
core (AMD EPYC), half an hour in all.
"""

from rlvm.configs.darn.binarized_mnist import one_layer, with_moved_images


def get_config(argument: str = ""):
    config = one_layer(200)
    config.model.deterministic_units = (400,)
    config.model.autoregressive_visibles = True
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup_steps = 200
    config.optimizer.weight_decay = 0.02
    config.optimizer.ema_decay = 0.999
    config.train.eval_every = 5_000
    config.train.num_steps = 180_000
    return with_moved_images(config)


def tiny():
    config = get_config()
    config.model.stochastic_units = (4,)
    config.model.deterministic_units = (3,)
    return config
