"""fDARN on binarised MNIST: 400 units of which 5% are active, so that sampling is cheap.

python launch/train.py --config=configs/darn/fdarn.py --workdir=runs/fdarn

The decoder is linear in h: a draw costs n_s (n_x + n_h) = 20 (784 + 400) = 23,680 multiplications
(`launch/sample.py` counts them); the paper gives 2.4e4. Its bound is 96.1 (table 2).
Twenty minutes on one core (AMD EPYC).
"""

from ml_collections import ConfigDict

from rlvm.configs.darn.binarized_mnist import one_layer, with_moved_images


def get_config(argument: str = ""):
    config = one_layer(400)
    config.model.linear_decoder = True
    config.objective.sparsity = ConfigDict({"weight": 20.0, "target": 0.05, "ramp_steps": 50_000})
    config.train.eval_every = 5_000
    config.train.num_steps = 120_000
    return with_moved_images(config)


def tiny():
    config = get_config()
    config.model.stochastic_units = (4,)
    config.model.deterministic_units = (3,)
    return config
