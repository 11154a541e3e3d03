"""The baselines of tables 1 and 2: NADE, EoNADE, a mixture of Bernoullis by EM, an RBM by PCD.

python launch/train.py --config=configs/darn/baselines.py:adult,nade --manual_dir=M --workdir=W

The argument is a set (adult, dna, mushrooms, nips, ocr_letters, rcv1, web, connect4,
binarized_mnist) and a model (nade, eonade, mixture, rbm). FVSBN is in uci.py and fvsbn.py. An RBM's
NLL is an estimate through log Z by annealed importance sampling. The batch of the mixture is the
whole training split, so that each of its steps is one of EM.
"""

from rlvm.jobs.config import base

NUM_TRAIN = {
    "adult": 5000,
    "dna": 1400,
    "mushrooms": 2000,
    "nips": 400,
    "ocr_letters": 32152,
    "rcv1": 40000,
    "web": 14000,
    "connect4": 16000,
    "binarized_mnist": 50000,
}
OWN_BUILDER = ("connect4", "binarized_mnist")


def nade(config, orderings=0):
    config.model.name = "nade"
    config.model.hidden_units = 200
    config.model.orderings = orderings
    config.objective.name = "order_agnostic" if orderings else "negative_log_likelihood"
    config.optimizer.weight_decay = 0.01


def eonade(config):
    nade(config, orderings=16)
    config.optimizer.learning_rate = 2e-3
    config.train.num_steps = 40_000


def mixture(config):
    config.model.name = "mixture"
    config.model.components = 100
    config.model.smoothing = 1e-4
    config.objective.name = "expectation_maximization"
    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 1.0
    config.optimizer.momentum = 0.0
    config.optimizer.schedule = "constant"
    config.optimizer.ema_decay = 0.0
    config.train.num_steps = 100
    config.train.eval_every = 5
    config.train.log_every = 5
    config.train.early_stopping_evals = 4


def rbm(config):
    config.model.name = "rbm"
    config.model.hidden_units = 100
    config.model.num_chains = 100
    config.model.sample_steps = 1000
    config.objective.name = "contrastive_divergence"
    config.objective.chain_steps = 5
    config.optimizer.weight_decay = 0.01


MODELS = {"nade": nade, "eonade": eonade, "mixture": mixture, "rbm": rbm}


def get_config(argument: str = "adult,nade"):
    name, _, model = argument.partition(",")
    config = base()
    config.data.name = name if name in OWN_BUILDER else f"uci_binary/{name}"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.ema_decay = 0.999
    config.train.num_steps = 20_000
    config.train.eval_every = 500
    config.train.log_every = 500
    config.train.checkpoint_every = 5_000
    config.train.early_stopping_evals = 8
    MODELS[model](config)
    if model == "mixture":
        config.train.batch_size = NUM_TRAIN[name]
    return config


def tiny():
    config = get_config()
    config.model.hidden_units = 3
    return config
