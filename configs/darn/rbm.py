"""RBM by persistent contrastive divergence: the second baseline of tables 1 and 2.

python launch/train.py --config=configs/darn/rbm.py:uci_binary/adult --manual_dir=M --workdir=W

The argument names a data set of binary vectors. The NLL is an estimate: log Z comes from annealed
importance sampling, which if anything is too low, and the NLL with it. Under a minute on one core
for the UCI sets; on `binarized_mnist` 500 hidden units and 25 Gibbs steps, as in table 2: 4 GFLOP a
step, not run.
"""

from rlvm.jobs.config import base


def get_config(argument: str = "uci_binary/adult"):
    config = base()
    config.data.name = argument
    config.model.name = "rbm"
    config.model.hidden_units = 100
    config.model.num_chains = 100
    config.model.sample_steps = 1000
    config.objective.name = "contrastive_divergence"
    config.objective.chain_steps = 5
    config.optimizer.weight_decay = 0.01
    config.optimizer.ema_decay = 0.999
    config.train.num_steps = 40_000
    config.train.eval_every = 2_000
    config.train.log_every = 2_000
    config.train.checkpoint_every = 5_000
    if argument == "binarized_mnist":
        config.model.hidden_units = 500
        config.objective.chain_steps = 25
    return config


def tiny():
    config = get_config()
    config.model.hidden_units = 3
    config.model.num_chains = 4
    config.model.sample_steps = 5
    return config
