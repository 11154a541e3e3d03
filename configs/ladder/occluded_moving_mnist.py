"""Recurrent Ladder on Occluded Moving MNIST, the networks of tables 5, 6 and 7 at full size.

python launch/train.py --config=configs/ladder/occluded_moving_mnist.py --manual_dir=M --workdir=W

Argument: `ladder` (table 5), `temporal_baseline` (table 6), `hierarchical_rnn` (table 5's encoder
alone), `no_prediction` (no auxiliary task), `no_feedback` (no decoder-to-encoder connections),
`static` (table 7 on the optimal reconstruction); with 1,000 labels `labels_only`, `semi_supervised`
(the other sequences without labels) and `mean_teacher`, and `baseline_labels_only` and
`baseline_mean_teacher`, the temporal baseline's. For an accelerator; not run here.
"""

from rlvm.jobs.config import half_labelled, prediction

TABLE_5 = (
    # encoder   stride channels filter  decoder   filter
    ("ConvLSTM", 1, 32, (3, 3), "ConvG3", (9, 9)),
    ("Conv", 1, 32, (3, 3), "ConvG3", (3, 3)),
    ("Conv", 1, 32, (3, 3), "ConvG3", (3, 3)),
    ("Conv", 1, 32, (3, 3), "ConvG3", (3, 3)),
    ("MaxPool", 2, None, (2, 2), "ConvG3", (6, 6)),
    ("ConvLSTM", 1, 32, (3, 3), "ConvG3", (9, 9)),
    ("Conv", 1, 64, (3, 3), "ConvG3", (3, 3)),
    ("Conv", 1, 64, (3, 3), "ConvG3", (3, 3)),
    ("Conv", 1, 64, (3, 3), "ConvG3", (3, 3)),
    ("MaxPool", 2, None, (2, 2), "ConvG3", (6, 6)),
    ("Conv", 1, 128, (3, 3), "ConvG3", (3, 3)),
    ("Conv", 1, 64, (1, 1), "ConvG3", (3, 3)),
    ("Conv", 1, 32, (1, 1), "ConvG3", (3, 3)),
    ("AvgPool", 2, None, (2, 2), "G1", None),
    ("LSTM", None, 16, None, "G1", None),
    ("SoftMax", None, 10, None, None, None),
)

TABLE_7 = (
    # encoder stride channels filter
    ("Conv", 1, 32, (3, 3)),
    ("Conv", 1, 32, (3, 3)),
    ("Conv", 1, 32, (3, 3)),
    ("MaxPool", 2, None, (2, 2)),
    ("Conv", 1, 64, (3, 3)),
    ("Conv", 1, 64, (3, 3)),
    ("Conv", 1, 64, (3, 3)),
    ("MaxPool", 2, None, (2, 2)),
    ("Conv", 1, 128, (3, 3)),
    ("Conv", 1, 64, (1, 1)),
    ("Conv", 1, 32, (1, 1)),
    ("AvgPool", 2, None, (2, 2)),
    ("SoftMax", None, 10, None),
)

TABLE_6 = (*TABLE_7[:-1], ("LSTM", None, 16, None), TABLE_7[-1])

NO_TASK = {"objective.task": "classification"}
ONLY_LABELLED = {"data.name": "occluded_moving_mnist/only1000_5"}
FEW_LABELLED = {"data.name": "occluded_moving_mnist/labels1000_5"}
MEAN_TEACHER = {**FEW_LABELLED, "objective.consistency_weight": 1.0, "objective.noise": 0.1}
ROWS = {  # argument: dotted fields, beside the networks
    "ladder": {},
    "temporal_baseline": NO_TASK,
    "hierarchical_rnn": NO_TASK,
    "no_prediction": {"objective.prediction_weight": 0.0},
    "no_feedback": {"model.decoder_to_encoder": False},
    "static": {
        **NO_TASK,
        "data.name": "occluded_moving_mnist/reconstruction_5",
        "model.num_iterations": 1,
    },
    "labels_only": ONLY_LABELLED,
    "semi_supervised": FEW_LABELLED,
    "mean_teacher": MEAN_TEACHER,
    "baseline_labels_only": {**NO_TASK, **ONLY_LABELLED},
    "baseline_mean_teacher": {**NO_TASK, **MEAN_TEACHER},
}


def comparison(argument, ladder, temporal_baseline, static):
    """The row of that name, of networks given as tables."""
    if argument not in ROWS:
        raise ValueError(f"No network '{argument}'. Networks: {', '.join(ROWS)}.")
    networks = {
        "temporal_baseline": temporal_baseline,
        "baseline_labels_only": temporal_baseline,
        "baseline_mean_teacher": temporal_baseline,
        "hierarchical_rnn": tuple(row[:4] for row in ladder),
        "static": static,
    }
    config = prediction("next_frame", selects="class_error")
    config.data.name = "occluded_moving_mnist/5"
    config.model.name = "ladder"
    config.model.layers = networks.get(argument, ladder)
    config.model.frame_shape = (32, 32, 1)
    config.model.num_iterations = 0
    config.model.observation = "gaussian"
    config.model.norm = "layer"
    config.model.decoder_to_encoder = True
    config.model.diagonal = False
    config.model.recurrent_decoder = False
    config.model.keep_convolutions = True
    config.objective.class_weight = 1.0
    config.objective.prediction_weight = 0.01
    config.optimizer.name = "adam"
    config.update_from_flattened_dict(ROWS[argument])
    return config


def get_config(argument: str = "ladder"):
    config = comparison(argument, TABLE_5, TABLE_6, TABLE_7)
    config.optimizer.learning_rate = 1e-3
    config.optimizer.schedule = "constant"
    config.optimizer.least_scale = 0.1
    config.train.num_steps = 100_000
    config.train.batch_size = 64
    config.train.eval_every = 800
    config.train.log_every = 100
    config.train.checkpoint_every = 800
    return half_labelled(config)


def shrunk(config):
    """The same experiment on frames of 8x8 with three rows."""
    config.model.frame_shape = (8, 8, 1)
    config.model.layers = (
        ("Conv", 4, 3, (3, 3), "ConvG3", (3, 3)),
        ("LSTM", None, 4, None, "G1", None),
        ("SoftMax", None, 10, None, None, None),
    )
    return config


def tiny():
    return shrunk(get_config())
