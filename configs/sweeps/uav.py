"""The search space of appendix C.1 ("Mind the Gap", 2021): flights, at random.

python launch/sweep.py --config=configs/ssm/uav.py:full --sweep=configs/sweeps/uav.py:8 \
    --manual_dir=M --workdir=W

The argument is the number of trials; the paper ran 128 for its two conditionings together. Base
configs: `full` and `semi` on the stand-in, `paper_full` and `paper_semi` on Blackbird.
"""

import itertools

from rlvm.jobs.space import Sweep, random_search

WIDE = list(itertools.product((16, 32, 64, 128, 192), repeat=2))
SIZES = list(itertools.product((16, 32, 64, 128), repeat=2))
PAIRS = list(itertools.product(("softsign", "softplus", "relu", "tanh"), repeat=2))
NETWORKS = ("prefix", "inverse_initial", "inverse_residual")

SPACE = {
    "train.batch_size": [8, 16, 32, 64, 128],
    "optimizer.learning_rate": [3e-3, 1e-3, 3e-4, 1e-4, 3e-5],
    "optimizer.momentum": [0.5, 0.8, 0.9],
    "model.state_dim": list(range(16, 33)),
    "model.flow.num_flows": [2, 4, 8, 12],
    "model.flow.sizes": list(itertools.product((8, 16, 32, 64), repeat=2)),
    "model.transition.kind": ["residual", "highway", "plain"],
    "model.transition.sizes": WIDE,
    "model.transition.activations": PAIRS,
    **{f"model.{name}.sizes": SIZES for name in NETWORKS},
    **{f"model.{name}.activations": PAIRS for name in NETWORKS},
    "model.features.size": [32, 64, 128],
    "model.features.num_layers": [1, 2],
}


def get_sweep(num_trials="8"):
    return Sweep(random_search(SPACE, int(num_trials)))
