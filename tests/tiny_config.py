"""Four steps of a config's tiny variant, by name: --config=tests/tiny_config.py:ssm/arrays."""

from rlvm.jobs import config as configs


def get_config(argument):
    config = configs.module(argument).tiny()
    config.optimizer.schedule = "constant"
    config.train.update(
        num_steps=4,
        batch_size=8,
        eval_every=4,
        log_every=2,
        checkpoint_every=2,
        steps_per_dispatch=2,
    )
    return config
