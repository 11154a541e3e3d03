"""Networks of the state-space models of row-wise MNIST at random; the best five train on.

python launch/sweep.py --config=configs/ssm/row_mnist.py:paper_full \
    --config.train.num_steps=10000 --sweep=configs/sweeps/row_mnist.py:100000 --workdir=W

As in "Mind the Gap" (2021): full and partial conditioning search the same space, and the best five
by validation go on; one run of this for each of `paper_full` and `paper_partial`.
"""

import itertools

from rlvm.jobs.space import Sweep, Uniform, random_search

SIZES = list(itertools.product((16, 32, 64, 128), repeat=2))
PAIRS = list(itertools.product(("relu", "tanh", "softsign", "softplus"), repeat=2))
NETWORKS = ("emission", "prefix", "inverse_initial", "inverse_residual")

SPACE = {
    **{f"model.{name}.sizes": SIZES for name in NETWORKS},
    **{f"model.{name}.activations": PAIRS for name in NETWORKS},
    "model.transition.sizes": [(32, 128), (64, 64), (192, 192)],
    "model.transition.activations": PAIRS,
    "model.features.size": [32, 64, 128],
    "optimizer.learning_rate": Uniform(3e-4, 3e-3, log=True),
}


def get_sweep(num_steps="100000"):
    return Sweep(random_search(SPACE, 30), promote=5, further={"train.num_steps": int(num_steps)})
