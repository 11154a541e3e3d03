"""RTagger on textured MNIST of 48x48 pixels with a quarter of table 9's channels, for 2 cores.

python launch/train.py --config=configs/ladder/textured_small.py --manual_dir=M --workdir=W

Argument: `tagger` or `unsupervised`.
"""

from rlvm.jobs.config import prediction

LAYERS = (
    # encoder   stride channels filter  decoder   filter
    ("ConvLSTM", 2, 24, (5, 5), "ConvG1", (5, 5)),
    ("Conv", 1, 24, (3, 3), "ConvG1", (3, 3)),
    ("ConvLSTM", 2, 24, (4, 4), "ConvG1", (4, 4)),
    ("Conv", 1, 24, (3, 3), "ConvG1", (3, 3)),
    ("ConvLSTM", 2, 11, (4, 4), "ConvG1", (4, 4)),
    ("AvgPool", None, None, (6, 6), "Unpool", None),
    ("SoftMax", None, 11, None, "G1", None),
)
ROWS = {  # argument: dotted fields
    "tagger": {},
    "unsupervised": {"objective.class_weight": 0.0, "objective.selects": "nll"},
}


def get_config(argument: str = "tagger"):
    if argument not in ROWS:
        raise ValueError(f"No network '{argument}'. Networks: {', '.join(ROWS)}.")
    config = prediction("denoising", selects="class_error")
    config.data.name = "textured_mnist/small"
    config.model.name = "tagger"
    config.model.layers = LAYERS
    config.model.frame_shape = (48, 48, 1)
    config.model.num_groups = 3
    config.model.num_iterations = 3
    config.model.norm = "batch"
    config.model.noise = 0.2
    config.model.data_mean = 0.5
    config.objective.class_weight = 1.0
    config.objective.prediction_weight = 0.003
    config.objective.noise = 0.2
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 1e-3
    config.train.num_steps = 4_000
    config.train.batch_size = 16
    config.train.eval_every = 500
    config.train.log_every = 100
    config.train.checkpoint_every = 500
    config.train.steps_per_dispatch = 20
    config.update_from_flattened_dict(ROWS[argument])
    return config


def tiny():
    config = get_config()
    config.model.layers = (
        ("ConvLSTM", 4, 3, (4, 4), "ConvG1", (4, 4)),
        ("AvgPool", None, None, (12, 12), "Unpool", None),
        ("SoftMax", None, 11, None, "G1", None),
    )
    return config
