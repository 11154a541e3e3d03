"""The search space of appendix E.1 ("Mind the Gap", 2021): traffic, at random.

python launch/sweep.py --config=configs/ssm/traffic.py:paper_full \
    --sweep=configs/sweeps/traffic.py:8 --manual_dir=M --workdir=W

The argument is the number of trials; the paper ran 128. The printed list of emission scales is cut
short after three entries, and continues as 30 even steps from 0.1 to 5.
"""

import itertools

import numpy as np

from rlvm.jobs.space import Sweep, random_search

SIZES = list(itertools.product((16, 32, 64, 128), repeat=2))
PAIRS = list(itertools.product(("softsign", "softplus", "relu", "tanh"), repeat=2))

SPACE = {
    "train.batch_size": [8, 16, 32, 64, 128],
    "optimizer.learning_rate": [3e-4, 1e-4, 3e-5],
    "optimizer.momentum": [0.5, 0.8, 0.9],
    "model.flow.sizes": list(itertools.product((8, 16, 32, 64), repeat=2)),
    "model.transition.kind": ["residual", "highway", "plain"],
    "model.prefix.sizes": SIZES,
    "model.prefix.activations": PAIRS,
    "model.emission.scale": np.linspace(0.1, 5.0, 30).tolist(),
}


def get_sweep(num_trials="8"):
    return Sweep(random_search(SPACE, int(num_trials)))
