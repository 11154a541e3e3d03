"""RTagger on textured MNIST: table 9 at full size, K = 3 groups, 3 iterations (appendix D.3).

python launch/train.py --config=configs/ladder/textured_mnist.py --manual_dir=M --workdir=W

Argument: `tagger`, `unsupervised` (no class cost), `labels1000` (semi-supervised), `taught` (the
masks are taught the true segments, too) or `all_cnn_c`, the convolutional baseline. For an
accelerator; not run here.
"""

from rlvm.jobs.config import half_labelled, prediction

TABLE_9 = (
    # encoder   stride channels filter  decoder   filter
    ("ConvLSTM", 2, 96, (8, 8), "ConvG1", (8, 8)),
    ("Conv", 1, 96, (5, 5), "ConvG1", (5, 5)),
    ("Conv", 1, 96, (5, 5), "ConvG1", (5, 5)),
    ("ConvLSTM", 2, 192, (4, 4), "ConvG1", (4, 4)),
    ("Conv", 1, 192, (5, 5), "ConvG1", (5, 5)),
    ("Conv", 1, 192, (5, 5), "ConvG1", (5, 5)),
    ("ConvLSTM", 2, 192, (4, 4), "ConvG1", (4, 4)),
    ("Conv", 1, 192, (5, 5), "ConvG1", (5, 5)),
    ("Conv", 1, 192, (5, 5), "ConvG1", (5, 5)),
    ("ConvLSTM", 2, 11, (4, 4), "ConvG1", (4, 4)),
    ("AvgPool", None, None, (6, 6), "Unpool", None),
    ("SoftMax", None, 11, None, "G1", None),
)

ALL_CNN_C = (
    # encoder stride channels filter
    ("Conv", 1, 96, (3, 3)),
    ("Conv", 1, 96, (3, 3)),
    ("Conv", 2, 96, (3, 3)),
    ("Conv", 1, 192, (3, 3)),
    ("Conv", 1, 192, (3, 3)),
    ("Conv", 2, 192, (3, 3)),
    ("Conv", 1, 192, (3, 3)),
    ("Conv", 1, 192, (1, 1)),
    ("Conv", 1, 10, (1, 1)),
    ("AvgPool", None, None, (21, 21)),
    ("SoftMax", None, None, None),
)
ROWS = {  # argument: dotted fields
    "tagger": {},
    "unsupervised": {"objective.class_weight": 0.0, "objective.selects": "nll"},
    "labels1000": {"data.name": "textured_mnist/labels1000"},
    "taught": {
        "model.initial_masks": "roles",
        "objective.segment_weight": 0.03,
        "objective.selects": "segment_cost",
    },
    "all_cnn_c": {
        "model.name": "ladder",
        "model.layers": ALL_CNN_C,
        "model.num_iterations": 1,
        "objective.task": "classification",
    },
}


def grouping(argument, layers):
    """The row of that name, of a tagger whose ladder is given as a table."""
    if argument not in ROWS:
        raise ValueError(f"No network '{argument}'. Networks: {', '.join(ROWS)}.")
    config = prediction("denoising", selects="class_error")
    config.data.name = "textured_mnist"
    config.model.name = "tagger"
    config.model.layers = layers
    config.model.frame_shape = (84, 84, 1)
    config.model.num_groups = 3
    config.model.num_iterations = 3
    config.model.norm = "batch"
    config.model.noise = 0.2
    config.model.data_mean = 0.5
    config.model.initial_masks = "noise"
    config.model.keep_convolutions = False
    if argument == "all_cnn_c":  # a ladder of one iteration without a decoder
        config.model.observation = "gaussian"
        config.model.decoder_to_encoder = False
        config.model.diagonal = False
        config.model.recurrent_decoder = False
    config.objective.class_weight = 1.0
    config.objective.noise = 0.2
    config.optimizer.name = "adam"
    config.train.batch_size = 16
    config.update_from_flattened_dict(ROWS[argument])
    return config


def get_config(argument: str = "tagger"):
    config = grouping(argument, TABLE_9)
    config.objective.prediction_weight = 0.001
    config.optimizer.learning_rate = 4e-4
    config.optimizer.schedule = "constant"
    config.train.num_steps = 160_000
    config.train.eval_every = 4_000
    config.train.log_every = 200
    config.train.checkpoint_every = 4_000
    return half_labelled(config)


def shrunk(config):
    """The same experiment on 8x8 pixels with two groups, two iterations and three rows."""
    config.model.num_groups = config.model.num_iterations = 2
    config.model.frame_shape = (8, 8, 1)
    config.model.layers = (
        ("ConvLSTM", 4, 2, (4, 4), "ConvG1", (4, 4)),
        ("AvgPool", None, None, (2, 2), "Unpool", None),
        ("SoftMax", None, 11, None, "G1", None),
    )
    return config


def tiny():
    return shrunk(get_config())
