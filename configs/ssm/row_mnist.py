"""State-space models of row-wise MNIST, 28 steps of 28 pixels (table 2b of "Mind the Gap", 2021).

python launch/train.py --config=configs/ssm/row_mnist.py:full --workdir=runs/row_mnist_full

`full` and `partial` are one tuned network with KL warm-ups of 4,000 and 2,000 updates; `paper_full`
and `paper_partial` are appendices D.2 and D.1 (their `bidirectional` field is overruled by the
conditioning; the printed emission scale has no part in a Bernoulli).
"""

from rlvm.jobs.config import layers, small_state_space, state_space

TUNED = {
    "flow": {"num_flows": 4, "sizes": (64, 32)},
    "emission": {"kind": "bernoulli", **layers((64, 64), "softsign", "softsign")},
    "transition": {"kind": "highway", **layers((192, 192), "relu", "tanh")},
    "features": {"size": 64},
    "prefix": layers((64, 64), "softsign", "softsign"),
    "inverse_initial": layers((64, 64), "softsign", "relu"),
    "inverse_residual": layers((128, 64), "relu", "softsign"),
}
NETWORKS = {
    "full": TUNED,
    "partial": TUNED,
    "paper_full": {
        "flow": {"num_flows": 4, "sizes": (64, 32)},
        "emission": {"kind": "bernoulli", **layers((64, 64), "softsign", "softplus")},
        "transition": {"kind": "highway", **layers((192, 192), "relu", "tanh")},
        "features": {"size": 32},
        "prefix": layers((16, 128), "tanh", "softplus"),
        "inverse_initial": layers((64, 16), "softsign", "relu"),
        "inverse_residual": layers((64, 16), "relu", "softsign"),
    },
    "paper_partial": {
        "flow": {"num_flows": 12, "sizes": (64, 32)},
        "emission": {"kind": "bernoulli", **layers((16, 32), "relu", "softplus")},
        "transition": {"kind": "highway", **layers((32, 128), "softsign", "softplus")},
        "features": {"size": 128},
        "prefix": layers((16, 32), "softplus", "softsign"),
        "inverse_initial": layers((32, 64), "softsign", "tanh"),
        "inverse_residual": layers((64, 64), "softplus", "softsign"),
    },
}


def get_config(argument: str = "full"):
    config = state_space(
        argument.removeprefix("paper_"), prefix_length=1, state_dim=25, **NETWORKS[argument]
    )
    config.data.name = "row_mnist"
    config.objective.kl_warmup_steps = 2_000 if argument == "partial" else 4_000
    config.optimizer.learning_rate = 3e-3
    config.train.batch_size = 128
    config.train.num_steps = 60_000
    config.train.eval_every = 5_000
    config.train.log_every = 500
    config.train.checkpoint_every = 5_000
    if argument == "paper_partial":
        config.optimizer.momentum = 0.8
        config.train.batch_size = 32
    if argument.startswith("paper"):
        config.optimizer.schedule = "constant"
        config.train.num_steps = 100_000
    return config


def tiny():
    return small_state_space(get_config())
