"""Optimizer settings at random, for any config with `adamw`: 20 trials, the best five train on.

python launch/sweep.py --config=configs/darn/connect4.py --config.train.num_steps=5000 \
    --config.optimizer.schedule=constant --sweep=configs/sweeps/optimizer.py:20000 --workdir=W

The argument is the number of steps to which the best five train on.
"""

from rlvm.jobs.space import Sweep, Uniform, random_search

SPACE = {
    "optimizer.learning_rate": Uniform(1e-4, 1e-2, log=True),
    "optimizer.weight_decay": Uniform(1e-3, 1.0, log=True),
    "optimizer.momentum": [0.8, 0.9, 0.95],
    "train.batch_size": [50, 100, 200],
}


def get_sweep(num_steps="20000"):
    return Sweep(random_search(SPACE, 20), promote=5, further={"train.num_steps": int(num_steps)})
