"""The binary UCI sets of table 1 (Gregor et al. 2014): DARN, and FVSBN as its baseline.

python launch/train.py --config=configs/darn/uci.py:adult --manual_dir=M --workdir=runs/adult
python launch/train.py --config=configs/darn/uci.py:adult,fvsbn --manual_dir=M --workdir=runs/f

Sets: adult, dna, mushrooms, nips, ocr_letters, rcv1, web. As in the paper: one tanh layer, one
stochastic layer with an autoregressive prior, autoregressive visibles, early stopping on the
validation bound. The optimizer is AdamW with an average of the parameters instead of RMSprop.
Seconds to minutes on one core.
"""

from rlvm.jobs.config import base

# tanh units, stochastic units, weight decay
SIZES = {
    "adult": (100, 32, 0.1),
    "dna": (100, 16, 1.0),
    "mushrooms": (100, 32, 0.1),
    "nips": (100, 16, 2.0),
    "ocr_letters": (500, 128, 0.05),
    "rcv1": (200, 64, 0.1),
    "web": (200, 64, 0.3),
}


def get_config(argument: str = "adult"):
    name, _, model = argument.partition(",")
    tanh, stochastic, weight_decay = SIZES[name]
    config = base()
    config.data.name = f"uci_binary/{name}"
    config.optimizer.weight_decay = weight_decay
    config.optimizer.schedule = "constant"
    config.optimizer.ema_decay = 0.999
    config.train.num_steps = 100_000
    config.train.eval_every = 250
    config.train.log_every = 250
    config.train.checkpoint_every = 5_000
    config.train.early_stopping_evals = 10
    if model == "fvsbn":
        config.model.name = "fvsbn"
        config.objective.name = "negative_log_likelihood"
        return config
    config.model.name = "darn"
    config.model.stochastic_units = (stochastic,)
    config.model.deterministic_units = (tanh,)
    config.model.autoregressive_encoder = False
    config.model.autoregressive_visibles = True
    config.model.skip = False
    return config


def tiny():
    config = get_config()
    config.model.stochastic_units = (5,)
    config.model.deterministic_units = (7,)
    return config
