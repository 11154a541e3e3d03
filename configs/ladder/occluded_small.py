"""The comparison of Occluded Moving MNIST with networks that train in minutes on a core.

python launch/train.py --config=configs/ladder/occluded_small.py:ladder --manual_dir=M --workdir=W

The arguments are those of `configs/ladder/occluded_moving_mnist.py`: the rows of the comparison.
Strided layers stand for the convolutions and pools of table 5, and ConvG1, a fifth of ConvG3's
work, for its decoder cells. As there, convolutions with batch normalisation stand below and above
the ConvLSTM: an LSTM right above one stays at chance for the first thousand updates.
"""

from rlvm.configs.ladder.occluded_moving_mnist import comparison, shrunk
from rlvm.jobs.config import half_labelled

LADDER = (
    # encoder   stride channels filter  decoder   filter
    ("Conv", 2, 16, (3, 3), "ConvG1", (3, 3)),
    ("ConvLSTM", 2, 8, (3, 3), "ConvG1", (3, 3)),
    ("Conv", 2, 32, (3, 3), "ConvG1", (3, 3)),
    ("LSTM", None, 64, None, "G1", None),
    ("SoftMax", None, 10, None, None, None),
)
STATIC = (
    # encoder stride channels filter
    ("Conv", 2, 16, (3, 3)),
    ("Conv", 2, 32, (3, 3)),
    ("Conv", 2, 32, (3, 3)),
    ("SoftMax", None, 10, None),
)
BASELINE = (*STATIC[:-1], ("LSTM", None, 64, None), STATIC[-1])
POOLED = (*STATIC[:-1], ("AvgPool", None, None, (4, 4)), *BASELINE[-2:])  # for few labels

LONGER = {"train.num_steps": 6_000}
POOLS = {"model.layers": POOLED, "train.num_steps": 10_000}
TEACHER = {"objective.consistency_weight": 10.0}
OWN = {  # argument: dotted fields
    "labels_only": LONGER,
    "semi_supervised": LONGER,
    "mean_teacher": {**LONGER, **TEACHER},
    "baseline_labels_only": POOLS,
    "baseline_mean_teacher": {**POOLS, **TEACHER},
}


def get_config(argument: str = "ladder"):
    config = comparison(argument, LADDER, BASELINE, STATIC)
    config.optimizer.learning_rate = 3e-3
    config.train.num_steps = 5_000
    config.train.batch_size = 16
    config.train.eval_every = 1_000
    config.train.log_every = 100
    config.train.checkpoint_every = 1_000
    config.train.steps_per_dispatch = 20
    config.update_from_flattened_dict(OWN.get(argument, {}))
    return half_labelled(config)


def tiny():
    return shrunk(get_config())
