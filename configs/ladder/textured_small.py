"""RTagger on textured MNIST of 48x48 pixels, table 9 with fewer rows and channels, for 2 cores.

python launch/train.py --config=configs/ladder/textured_small.py --manual_dir=M --workdir=W

Argument: `tagger`, `unsupervised` (no class cost) or `taught` (the masks are taught the true
segments, too). The noise is the paper's 0.2 as it would be in an image of 84x84 averaged down.
"""

from rlvm.configs.ladder.textured_mnist import grouping, shrunk

LAYERS = (
    # encoder   stride channels filter  decoder   filter
    ("ConvLSTM", 2, 16, (4, 4), "ConvG1", (4, 4)),
    ("Conv", 1, 16, (3, 3), "ConvG1", (3, 3)),
    ("ConvLSTM", 2, 24, (3, 3), "ConvG1", (4, 4)),
    ("Conv", 1, 24, (3, 3), "ConvG1", (3, 3)),
    ("ConvLSTM", 2, 24, (3, 3), "ConvG1", (4, 4)),
    ("Conv", 1, 24, (3, 3), "ConvG1", (3, 3)),
    ("AvgPool", None, None, (6, 6), "Unpool", None),
    ("SoftMax", None, 11, None, "G1", None),
)


def get_config(argument: str = "tagger"):
    config = grouping(argument, LAYERS)
    config.data.name = "textured_mnist/small"
    config.model.frame_shape = (48, 48, 1)
    config.model.noise = config.objective.noise = 0.2 * 48 / 84
    config.model.initial_masks = "roles"
    config.objective.prediction_weight = 0.0003
    config.optimizer.learning_rate = 3e-3
    config.train.num_steps = 4_500
    config.train.eval_every = 500
    config.train.log_every = 100
    config.train.checkpoint_every = 500
    config.train.steps_per_dispatch = 20
    return config


def tiny():
    return shrunk(get_config())
