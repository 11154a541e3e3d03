"""Locally connected DARN on frames of an Atari game (fig. 4 of Gregor et al. 2014).

python launch/train.py --config=configs/darn/atari.py:freeway --workdir=runs/freeway

The argument is the game: freeway, pong, space_invaders, riverraid or seaquest; frames are generated
by ale-py (extra 'atari'). Two local layers of 32 filters (kernels 8 and 4, strides 4 and 2, period
8) with rectifiers, 300 stochastic units with an autoregressive prior, and pixels that see those
before them in a 15 x 15 window of period 14. The paper's 100,000 frames are
--config.data.num_examples=100000; its bounds are of other frames. 0.21 s a step on one core (AMD
EPYC), 35 minutes for all 10,000 steps.
"""

from rlvm.jobs.config import base


def get_config(argument: str = "freeway"):
    config = base()
    config.data.name = f"atari_frames/{argument}"
    config.data.num_examples = 10_000
    config.model.name = "tiled_darn"
    config.model.stochastic_units = (300,)
    config.model.layers = ((8, 4), (4, 2))
    config.model.features = 32
    config.model.period = 8
    config.model.visible_size = 15
    config.model.visible_period = 14
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup_steps = 50
    config.optimizer.ema_decay = 0.99
    config.train.batch_size = 20
    config.train.num_steps = 10_000
    config.train.eval_every = 500
    config.train.log_every = 50
    config.train.checkpoint_every = 500
    config.train.steps_per_dispatch = 10
    return config


def tiny():
    config = get_config()
    config.model.stochastic_units = (4,)
    config.model.layers = ((3, 2), (2, 2))
    config.model.features = 2
    config.model.period = 2
    config.model.visible_size = 3
    config.model.visible_period = 2
    return config
