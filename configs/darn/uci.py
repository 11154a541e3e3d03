"""The binary UCI sets of table 1 (Gregor et al. 2014): DARN, and FVSBN as its baseline.

python launch/train.py --config=configs/darn/uci.py:adult --manual_dir=M --workdir=runs/adult
python launch/train.py --config=configs/darn/uci.py:adult,fvsbn --manual_dir=M --workdir=runs/f

Sets: adult, dna, mushrooms, nips, ocr_letters, rcv1, web. As in the paper: one tanh layer, one
stochastic layer with an autoregressive prior, autoregressive visibles, the best checkpoint by the
bound on validation. Instead of RMSprop: AdamW, a cosine to zero and an average of the parameters.
On the smallest sets dropout hides most of the earlier visibles from the kernel, which is what
overfits. Seconds to minutes on one quiet core.
"""

from rlvm.jobs.config import base, darn

# tanh units, stochastic units, rate, weight decay, steps, steps between evaluations
SIZES = {
    "adult": (100, 16, 2e-3, 0.01, 8_000, 200),
    "dna": (100, 16, 0.07, 0.1, 9_000, 200),
    "mushrooms": (100, 32, 3e-3, 0.01, 10_000, 500),
    "nips": (100, 16, 1e-3, 0.1, 1_500, 50),
    "ocr_letters": (300, 128, 3e-3, 0.02, 24_000, 1_000),
    "rcv1": (200, 64, 2e-3, 0.03, 30_000, 1_000),
    "web": (200, 64, 3e-3, 0.01, 10_000, 500),
}
# hidden units of the NADE that stands for the visibles' triangular kernel
VISIBLE_NADE = {"adult": 50, "mushrooms": 50, "ocr_letters": 250, "web": 100}
# share of tanh units dropped, share of earlier visibles hidden from the kernel
DROPOUT = {"dna": (0.3, 0.3), "nips": (0.5, 0.7)}
EMA = {"adult": 0.998, "mushrooms": 0.998, "ocr_letters": 0.9995, "web": 0.999}
WARMUP = {"ocr_letters": 500}
SGD = {"dna": (0.05, 0.99, 6_000, 200), "nips": (0.01, 0.9, 3_000, 50)}
FVSBN_RATE = {"mushrooms": 0.03, "ocr_letters": 5e-3, "web": 0.01}


def get_config(argument: str = "adult"):
    name, _, model = argument.partition(",")
    tanh, stochastic, rate, weight_decay, num_steps, eval_every = SIZES[name]
    config = base() if model == "fvsbn" else darn((stochastic,), (tanh,))
    config.data.name = f"uci_binary/{name}"
    config.optimizer.learning_rate = rate
    config.optimizer.weight_decay = weight_decay
    config.optimizer.warmup_steps = WARMUP.get(name, 0)
    config.optimizer.ema_decay = EMA.get(name, 0.99)
    config.train.num_steps = num_steps
    config.train.eval_every = eval_every
    config.train.log_every = 1_000
    config.train.checkpoint_every = 4_000
    if model == "fvsbn":
        return fvsbn(config, name)
    if name == "dna":  # plain SGD keeps the weights of rare inputs small, free bits the units alive
        config.optimizer.name = "sgd"
        config.objective.free_bits = 2.0
        config.train.log_every = 2_000
        config.train.checkpoint_every = 5_000
    config.model.visible_nade = VISIBLE_NADE.get(name, 0)
    config.model.dropout, config.model.input_dropout = DROPOUT.get(name, (0.0, 0.0))
    return config


def fvsbn(config, name):
    config.model.name = "fvsbn"
    config.objective.name = "negative_log_likelihood"
    config.optimizer.learning_rate = FVSBN_RATE.get(name, 1e-3)
    config.optimizer.warmup_steps = 0
    config.optimizer.weight_decay = 0.01
    config.optimizer.ema_decay = 0.99
    config.train.num_steps = 8_000
    config.train.eval_every = 100
    if name == "adult":
        config.optimizer.schedule = "constant"
        config.optimizer.ema_decay = 0.999
        config.train.num_steps = 100_000
        config.train.eval_every = config.train.log_every = 250
        config.train.checkpoint_every = 5_000
        config.train.early_stopping_evals = 10
    if name in SGD:  # plain SGD keeps the weights of rare inputs small
        rate, ema_decay, num_steps, eval_every = SGD[name]
        config.optimizer.name = "sgd"
        config.optimizer.learning_rate = rate
        config.optimizer.schedule = "constant"
        config.optimizer.ema_decay = ema_decay
        config.train.num_steps = num_steps
        config.train.eval_every = eval_every
        config.train.log_every = 2_000
        config.train.checkpoint_every = 5_000
        config.train.early_stopping_evals = 5
    return config


def tiny():
    config = get_config()
    config.model.stochastic_units = (5,)
    config.model.deterministic_units = (7,)
    return config
