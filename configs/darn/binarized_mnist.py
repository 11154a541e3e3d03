"""DARN on the static binarisation of MNIST (table 2, rows nh = 500 and nh = 9, 10, 16).

python launch/train.py --config=configs/darn/binarized_mnist.py --workdir=runs/mnist
python launch/train.py --config=configs/darn/binarized_mnist.py:9 --workdir=runs/mnist9

The argument is the number of stochastic units. As in the paper one tanh layer stands on either
side, of 100 units up to nh = 16 and of 500 beyond, and the visibles are independent given h. With
`500,paper` RMSprop at 3e-5 instead of AdamW. On one core (AMD EPYC) about 10 ms a step, an hour in
all, for nh = 500; two minutes for nh = 10. The small models train by VIMCO with eight samples: with
few units DARN's own estimator drives most of them into saturation, and they stay there.
"""

from ml_collections import ConfigDict

from rlvm.jobs.config import darn


def get_config(argument: str = ""):
    units, _, variant = (argument or "500").partition(",")
    config = one_layer(int(units))
    if variant == "paper":
        return with_rmsprop(config)
    if int(units) <= 16:
        return few_units(config)
    config.optimizer.weight_decay = 0.02
    config.train.eval_every = 5_000
    config.train.num_steps = 360_000
    return with_moved_images(config)


def with_moved_images(config):
    """Two images in five moved by up to a pixel, for five sixths of the steps.

    Larger models overfit the 50,000 images; these they see anew.
    """
    until = config.train.get_oneway_ref("num_steps") * 5 // 6  # follows a flag that shortens a run
    config.objective.shift = ConfigDict({"probability": 0.4, "pixels": 1, "until": until})
    return config


def with_rmsprop(config, rate: float = 3e-5):
    """The paper's optimizer at one of its learning rates."""
    config.optimizer.name = "rmsprop"
    config.optimizer.learning_rate = rate
    config.optimizer.schedule = "constant"
    return config


def one_layer(units: int):
    """One stochastic layer, with the paper's tanh layers and independent visibles."""
    tanh = 100 if units <= 16 else 500
    config = darn((units,), (tanh,), autoregressive_visibles=False)
    config.model.dropout = 0.0
    config.data.name = "binarized_mnist"
    config.optimizer.ema_decay = 0.9995
    config.train.num_steps = 150_000
    config.train.eval_every = 2_500
    config.train.log_every = 2_500
    config.train.checkpoint_every = 5_000
    return config


def few_units(config):
    config.objective.name = "iwae"
    config.objective.estimator = "vimco"
    config.objective.num_samples = 8
    config.optimizer.learning_rate = 2e-3
    config.optimizer.ema_decay = 0.998
    config.train.num_steps = 20_000
    config.train.eval_every = 1_000
    return config


def tiny():
    config = get_config("4")
    config.model.deterministic_units = (3,)
    return config
