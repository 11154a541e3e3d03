"""Recurrent Ladder on polyphonic music: table 8 at full size, Adam 0.01 (appendix D.2).

python launch/train.py --config=configs/ladder/polyphonic_music.py:jsb_chorales --manual_dir=M \
    --workdir=W

Argument: `jsb_chorales`, `nottingham`, `muse_data`, `piano_midi`. For an accelerator; not run here.
--config.model.segment=N, a divisor of objective.window near its square root, keeps 2 sqrt(T)
carries for the gradient in place of T, for one more forward pass.
"""

from rlvm.jobs.config import prediction

TABLE_8 = (
    # encoder   stride channels filter  decoder   filter
    ("ConvLSTM", 1, 32, (1, 3), "ConvG2", (1, 3)),
    ("ConvLSTM", 2, 64, (1, 3), "ConvG2", (1, 3)),
    ("ConvLSTM", 2, 96, (1, 3), "ConvG2", (1, 3)),
    ("ConvLSTM", 2, 128, (1, 3), "ConvG2", (1, 3)),
    ("ConvLSTM", 2, 160, (1, 3), "ConvG2", (1, 3)),
    ("AvgPool", 2, None, (1, 2), "G1", None),
    ("LSTM", None, 96, None, "G1", None),
    ("SoftMax", None, 19, None, "Identity", None),
)


def next_frame(data, layers):
    """Prediction of a piano roll's next frame from all before, by a network given as a table."""
    config = prediction("next_frame", selects="nll")
    config.data.name = data
    config.model.name = "ladder"
    config.model.layers = layers
    config.model.frame_shape = (1, 88, 1)
    config.model.num_iterations = 0
    config.model.observation = "keys"
    config.model.norm = "layer"
    config.model.decoder_to_encoder = True
    config.model.diagonal = False
    config.model.recurrent_decoder = False
    config.model.segment = 0
    config.model.keep_convolutions = False
    return config


def get_config(argument: str = "jsb_chorales"):
    config = next_frame(f"polyphonic_music/{argument}", TABLE_8)
    config.objective.window = 200
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 0.01
    config.optimizer.schedule = "constant"
    config.train.num_steps = 5_000
    config.train.batch_size = 16
    config.train.eval_every = 20
    config.train.log_every = 20
    config.train.checkpoint_every = 200
    config.train.steps_per_dispatch = 20
    config.train.early_stopping_evals = 20
    return config


def shrunk(config):
    """The same experiment with two rows under a softmax."""
    config.model.layers = (
        ("ConvLSTM", 4, 2, (1, 3), "ConvG2", (1, 3)),
        ("LSTM", None, 3, None, "G1", None),
        ("SoftMax", None, 4, None, "Identity", None),
    )
    return config


def tiny():
    return shrunk(get_config())
