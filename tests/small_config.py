"""The config of the tests: a DARN of a few hundred parameters on the user's own vectors."""

from rlvm.jobs.config import darn


def get_config():
    config = darn((3,), (5,))
    config.data.name = "arrays"
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 0.01
    config.train.num_steps = 12
    config.train.batch_size = 8
    config.train.eval_every = 4
    config.train.log_every = 2
    config.train.checkpoint_every = 4
    config.train.steps_per_dispatch = 3
    return config
