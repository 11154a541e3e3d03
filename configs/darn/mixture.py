"""Mixture of Bernoullis by EM: the first baseline of tables 1 and 2.

python launch/train.py --config=configs/darn/mixture.py:uci_binary/adult --manual_dir=M --workdir=W
python launch/train.py --config=configs/darn/mixture.py:binarized_mnist,500 --workdir=W

The argument names a data set of binary vectors and, after a comma, the number of components: table
2 has 10 and 500. A step is one of EM on its batch, which is the whole training split
(`train.batch_size`, here of those whose size is known). Seconds on the UCI sets; 500 components on
binarised MNIST take 0.8 s a step on one core.
"""

from rlvm.jobs.config import base

NUM_TRAIN = {
    "uci_binary/adult": 5000,
    "uci_binary/dna": 1400,
    "uci_binary/mushrooms": 2000,
    "uci_binary/nips": 400,
    "uci_binary/ocr_letters": 32152,
    "uci_binary/rcv1": 40000,
    "uci_binary/web": 14000,
    "connect4": 16000,
    "binarized_mnist": 50000,
}


def get_config(argument: str = "uci_binary/adult"):
    name, _, components = argument.partition(",")
    config = base()
    config.data.name = name
    config.model.name = "mixture"
    config.model.components = int(components or 100)
    config.model.smoothing = 1e-4
    config.objective.name = "expectation_maximization"
    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 1.0
    config.optimizer.momentum = 0.0
    config.optimizer.schedule = "constant"
    config.train.batch_size = NUM_TRAIN.get(name, 1000)
    config.train.num_steps = 300
    config.train.eval_every = 5
    config.train.log_every = 5
    config.train.checkpoint_every = 50
    config.train.early_stopping_evals = 6
    return config


def tiny():
    config = get_config()
    config.model.components = 3
    return config
