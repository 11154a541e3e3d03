"""Architectures of DARN on a UCI set: 100 to 500 tanh units by 8 to 256 stochastic units.

python launch/sweep.py --config=configs/darn/uci.py:adult --sweep=configs/sweeps/darn_uci.py \
    --manual_dir=M --workdir=runs/adult_sweep --num_workers=2

The sizes that Gregor et al. (2014) chose from by validation for table 1; with
--config=configs/darn/uci_paper.py:adult under their optimizer. 35 trials of minutes each.
"""

from rlvm.jobs.space import Sweep, grid


def get_sweep():
    return Sweep(
        grid(
            {
                "model.deterministic_units": [(units,) for units in (100, 200, 300, 400, 500)],
                "model.stochastic_units": [(units,) for units in (8, 12, 16, 32, 64, 128, 256)],
            }
        )
    )
