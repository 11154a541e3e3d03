"""Recurrent Ladder on polyphonic music, table 8's structure with fewer channels, for 2 cores.

python launch/train.py --config=configs/ladder/polyphonic_small.py --config.data.path=F.npz \
    --workdir=W

for any piano-roll file ([total, 88] and lengths); argument `jsb_chorales`, `nottingham`,
`muse_data` or `piano_midi` takes that set instead. The next frame is predicted from all before;
the first frame of a piece is given and does not count.
"""

from rlvm.jobs.config import prediction

LAYERS = (
    # encoder   stride  channels filter   decoder     filter
    ("ConvLSTM", 2, 8, (1, 3), "ConvG2", (1, 3)),
    ("ConvLSTM", 2, 12, (1, 3), "ConvG2", (1, 3)),
    ("ConvLSTM", 2, 16, (1, 3), "ConvG2", (1, 3)),
    ("AvgPool", 2, None, (1, 2), "G1", None),
    ("LSTM", None, 96, None, "G1", None),
    ("SoftMax", None, 19, None, "Identity", None),
)


def get_config(argument: str = ""):
    config = prediction("next_frame", selects="nll")
    config.data.name = f"polyphonic_music/{argument}" if argument else "arrays"
    config.model.name = "ladder"
    config.model.layers = LAYERS
    config.model.frame_shape = (1, 88, 1)
    config.model.num_iterations = 0
    config.model.observation = "keys"
    config.model.norm = "layer"
    config.model.decoder_to_encoder = True
    config.model.diagonal = False
    config.model.recurrent_decoder = False
    config.objective.window = 64
    config.objective.transpose = 5
    config.optimizer.learning_rate = 5e-3
    config.optimizer.weight_decay = 0.01
    config.optimizer.clip_norm = 200.0
    config.optimizer.ema_decay = 0.99
    config.train.num_steps = 2_500
    config.train.batch_size = 16
    config.train.eval_every = 100
    config.train.log_every = 50
    config.train.checkpoint_every = 200
    config.train.steps_per_dispatch = 10
    return config


def tiny():
    config = get_config("jsb_chorales")
    config.model.layers = (
        ("ConvLSTM", 4, 2, (1, 3), "ConvG2", (1, 3)),
        ("LSTM", None, 3, None, "G1", None),
        ("SoftMax", None, 4, None, "Identity", None),
    )
    return config
