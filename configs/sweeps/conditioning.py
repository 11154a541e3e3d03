"""Partial, semi and full conditioning of one state-space model: equal budgets, three seeds each.

python launch/sweep.py --config=configs/ssm/traffic.py:full --sweep=configs/sweeps/conditioning.py \
    --manual_dir=M --workdir=W

The argument is the prefix length k of `semi`. The trials of a seed differ in nothing else than what
the inference network sees, whose width they share.
"""

from rlvm.jobs.space import Sweep

SEEDS = (0, 1, 2)


def get_sweep(prefix_length="7"):
    prefixes = {"partial": 1, "semi": int(prefix_length), "full": 1}
    return Sweep(
        [
            {"seed": seed, "model.conditioning": name, "model.prefix_length": prefix}
            for seed in SEEDS
            for name, prefix in prefixes.items()
        ]
    )
