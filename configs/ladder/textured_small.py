"""RTagger on textured MNIST of 48x48 pixels, table 9 with fewer rows and channels, for 2 cores.

python launch/train.py --config=configs/ladder/textured_small.py --manual_dir=M --workdir=W

Argument: `tagger` or `unsupervised`.
"""

from rlvm.configs.ladder.textured_mnist import grouping, shrunk

LAYERS = (
    # encoder   stride channels filter  decoder   filter
    ("ConvLSTM", 2, 8, (3, 3), "ConvG1", (4, 4)),
    ("ConvLSTM", 2, 16, (3, 3), "ConvG1", (4, 4)),
    ("ConvLSTM", 2, 16, (3, 3), "ConvG1", (4, 4)),
    ("AvgPool", None, None, (6, 6), "Unpool", None),
    ("SoftMax", None, 11, None, "G1", None),
)


def get_config(argument: str = "tagger"):
    config = grouping(argument, LAYERS)
    config.data.name = "textured_mnist/small"
    config.model.frame_shape = (48, 48, 1)
    config.objective.prediction_weight = 0.003
    config.optimizer.learning_rate = 2e-3
    config.train.num_steps = 10_000
    config.train.batch_size = 8
    config.train.eval_every = 2_000
    config.train.log_every = 100
    config.train.checkpoint_every = 1_000
    config.train.steps_per_dispatch = 20
    return config


def tiny():
    return shrunk(get_config())
