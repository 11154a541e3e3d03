"""The comparison of Occluded Moving MNIST with an eighth of the channels, for 2 cores.

python launch/train.py --config=configs/ladder/occluded_small.py:ladder --manual_dir=M --workdir=W

The arguments are those of `configs/ladder/occluded_moving_mnist.py`: the rows of the comparison.
"""

from rlvm.jobs.config import prediction

LADDER = (
    # encoder   stride channels filter  decoder   filter
    ("ConvLSTM", 1, 4, (3, 3), "ConvG3", (5, 5)),
    ("Conv", 1, 4, (3, 3), "ConvG3", (3, 3)),
    ("MaxPool", 2, None, (2, 2), "ConvG3", (4, 4)),
    ("ConvLSTM", 1, 8, (3, 3), "ConvG3", (5, 5)),
    ("Conv", 1, 8, (3, 3), "ConvG3", (3, 3)),
    ("MaxPool", 2, None, (2, 2), "ConvG3", (4, 4)),
    ("Conv", 1, 16, (3, 3), "ConvG3", (3, 3)),
    ("Conv", 1, 8, (1, 1), "ConvG3", (3, 3)),
    ("AvgPool", 2, None, (2, 2), "G1", None),
    ("LSTM", None, 16, None, "G1", None),
    ("SoftMax", None, 10, None, None, None),
)

STATIC = (
    # encoder stride channels filter
    ("Conv", 1, 4, (3, 3)),
    ("Conv", 1, 4, (3, 3)),
    ("MaxPool", 2, None, (2, 2)),
    ("Conv", 1, 8, (3, 3)),
    ("Conv", 1, 8, (3, 3)),
    ("MaxPool", 2, None, (2, 2)),
    ("Conv", 1, 16, (3, 3)),
    ("Conv", 1, 8, (1, 1)),
    ("AvgPool", 2, None, (2, 2)),
    ("SoftMax", None, 10, None),
)

BASELINE = (*STATIC[:-1], ("LSTM", None, 16, None), STATIC[-1])
ROWS = {  # argument: dotted fields
    "ladder": {},
    "temporal_baseline": {"model.layers": BASELINE, "objective.task": "classification"},
    "hierarchical_rnn": {
        "model.layers": tuple(row[:4] for row in LADDER),
        "objective.task": "classification",
    },
    "no_prediction": {"objective.prediction_weight": 0.0},
    "no_feedback": {"model.decoder_to_encoder": False},
    "static": {
        "data.name": "occluded_moving_mnist/reconstruction_5",
        "model.layers": STATIC,
        "model.num_iterations": 1,
        "objective.task": "classification",
    },
    "labels_only": {"data.name": "occluded_moving_mnist/only1000_5"},
    "semi_supervised": {"data.name": "occluded_moving_mnist/labels1000_5"},
    "mean_teacher": {
        "data.name": "occluded_moving_mnist/labels1000_5",
        "objective.consistency_weight": 1.0,
        "objective.noise": 0.1,
    },
}


def get_config(argument: str = "ladder"):
    if argument not in ROWS:
        raise ValueError(f"No network '{argument}'. Networks: {', '.join(ROWS)}.")
    config = prediction("next_frame", selects="class_error")
    config.data.name = "occluded_moving_mnist/5"
    config.model.name = "ladder"
    config.model.layers = LADDER
    config.model.frame_shape = (32, 32, 1)
    config.model.num_iterations = 0
    config.model.observation = "gaussian"
    config.model.norm = "layer"
    config.model.decoder_to_encoder = True
    config.model.diagonal = False
    config.model.recurrent_decoder = False
    config.objective.class_weight = 1.0
    config.objective.prediction_weight = 0.01
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 2e-3
    config.train.num_steps = 6_000
    config.train.batch_size = 32
    config.train.eval_every = 500
    config.train.log_every = 100
    config.train.checkpoint_every = 500
    config.train.steps_per_dispatch = 20
    config.update_from_flattened_dict(ROWS[argument])
    return config


def tiny():
    config = get_config()
    config.model.layers = (
        ("ConvLSTM", 2, 2, (3, 3), "ConvG3", (3, 3)),
        ("Conv", 2, 3, (3, 3), "ConvG3", (3, 3)),
        ("AvgPool", None, None, (8, 8), "Unpool", None),
        ("LSTM", None, 4, None, "G1", None),
        ("SoftMax", None, 10, None, None, None),
    )
    return config
