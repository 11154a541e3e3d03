"""Recurrent Ladder on polyphonic music, table 8 with fewer rows and channels, for 2 cores.

python launch/train.py --config=configs/ladder/polyphonic_small.py --config.data.path=F.npz \
    --workdir=W

for any piano-roll file ([total, 88] and lengths); argument `jsb_chorales`, `nottingham`,
`muse_data` or `piano_midi` takes that set instead. The next frame is predicted from all before;
the first frame of a piece is given and does not count. The top-down signal starts at the LSTM, not
at table 8's softmax of 19 units above it, which lets little through.

With `jsb_chorales,chords` each key also sees the lower keys of its own frame, as DARN's units do:
the keys of a chord are not independent given the past, and no product of marginals can say so.
"""

from rlvm.configs.ladder.polyphonic_music import next_frame, shrunk

LAYERS = (
    # encoder   stride  channels filter   decoder     filter
    ("ConvLSTM", 2, 8, (1, 13), "ConvG2", (1, 13)),  # an octave
    ("ConvLSTM", 2, 12, (1, 13), "ConvG2", (1, 13)),
    ("ConvLSTM", 2, 16, (1, 13), "ConvG2", (1, 13)),
    ("AvgPool", 2, None, (1, 2), "G1", None),
    ("LSTM", None, 128, None, "G1", None),
)


def get_config(argument: str = ""):
    name, _, variant = argument.partition(",")
    config = next_frame(f"polyphonic_music/{name}" if name else "arrays", LAYERS)
    config.model.observation = variant or "keys"
    config.objective.window = 64
    config.objective.transpose = 5
    config.objective.drop = 0.05
    config.optimizer.learning_rate = 5e-3
    config.optimizer.weight_decay = 0.3
    config.optimizer.clip_norm = 200.0
    config.optimizer.ema_decay = 0.99
    config.train.num_steps = 1_200
    steps = config.train.get_oneway_ref("num_steps")  # follows a flag
    config.objective.transpose_until = steps * 3 // 4  # the pieces are in C: training ends there
    config.train.batch_size = 16
    config.train.eval_every = 100
    config.train.log_every = 50
    config.train.checkpoint_every = 200
    config.train.steps_per_dispatch = 10
    return config


def tiny():
    return shrunk(get_config())
