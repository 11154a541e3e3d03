"""State-space models of drone flights, 25 steps from the origin (section 5.2 of "Mind the Gap").

python launch/train.py --config=configs/ssm/uav.py:full --manual_dir=M --workdir=W

`semi`, `full` and `partial` train on real quadrotor flights (`quadrotor_flights.npz` in M), a
stand-in for Blackbird: one network, conditioning its only difference, early stopping. `paper_semi`
and `paper_full` are appendices C.2 and C.3 on Blackbird itself (`BlackbirdDatasetData/` in M); the
printed [0.15, 0.15, 0.075] are read as standard deviations.
"""

from rlvm.jobs.config import emission_from_data, layers, small_state_space, state_space

STAND_IN = {
    "state_dim": 16,
    "flow": {"num_flows": 4, "sizes": (32, 32)},
    **emission_from_data((64,), "softsign"),
    "transition": {"kind": "residual", **layers((64, 64), "tanh", "softsign")},
    "features": {"size": 64, "num_layers": 1},
    "prefix": layers((64, 64), "softsign", "softsign"),
    "inverse_initial": layers((64, 64), "tanh", "softsign"),
    "inverse_residual": layers((64, 64), "tanh", "softsign"),
}
POSITION = {"kind": "state", "scale_kind": "fixed", "scale": (0.15, 0.15, 0.075)}
NETWORKS = {
    "paper_semi": {
        "state_dim": 22,
        "flow": {"num_flows": 12, "sizes": (8, 8)},
        "emission": POSITION,
        "transition": {"kind": "residual", **layers((16, 32), "tanh", "softplus")},
        "features": {"size": 128, "num_layers": 1},
        "prefix": layers((32, 32), "softplus", "softsign"),
        "inverse_initial": layers((16, 16), "tanh", "softsign"),
        "inverse_residual": layers((64, 128), "tanh", "relu"),
    },
    "paper_full": {
        "state_dim": 20,
        "flow": {"num_flows": 12, "sizes": (16, 8)},
        "emission": POSITION,
        "transition": {"kind": "highway", **layers((64, 16), "softplus", "softplus")},
        "features": {"size": 128, "num_layers": 1},
        "prefix": layers((128, 32), "softsign", "softplus"),
        "inverse_initial": layers((32, 128), "tanh", "relu"),
        "inverse_residual": layers((128, 128), "tanh", "relu"),
    },
}
# batch size, learning rate, beta_1
OPTIMIZATION = {"paper_semi": (16, 1e-3, 0.9), "paper_full": (32, 3e-3, 0.8)}


def get_config(argument: str = "full"):
    conditioning = argument.removeprefix("paper_")
    config = state_space(
        conditioning,
        prefix_length=1 if conditioning == "partial" else 7,
        **NETWORKS.get(argument, STAND_IN),
    )
    config.data.name = "blackbird" if argument in NETWORKS else "quadrotor"
    if argument in NETWORKS:
        batch_size, rate, beta_1 = OPTIMIZATION[argument]
        config.train.update(batch_size=batch_size, num_steps=30_000, log_every=500)
        config.optimizer.update(learning_rate=rate, momentum=beta_1, schedule="constant")
    else:
        config.objective.kl_warmup_steps = 1_000
        config.train.update(batch_size=64, num_steps=4_000, eval_every=250, log_every=250)
        config.train.early_stopping_evals = 10
    return config


def tiny():
    return small_state_space(get_config())
