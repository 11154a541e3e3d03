"""State-space models of drone flights, 25 steps from the origin (section 5.2 of "Mind the Gap").

python launch/train.py --config=configs/ssm/uav.py:full --manual_dir=M --workdir=W

`semi`, `full` and `partial` train on real quadrotor flights (`quadrotor_flights.npz` in M), a
stand-in for Blackbird: one network, conditioning its only difference, early stopping. `paper_semi`
and `paper_full` are appendices C.2 and C.3 on Blackbird itself (`BlackbirdDatasetData/` in M); the
printed [0.15, 0.15, 0.075] are read as standard deviations.
"""

from rlvm.jobs.config import base


def layers(sizes, *activations, **more):
    return {"sizes": sizes, "activations": activations, **more}


STAND_IN = {
    "state_dim": 16,
    "emission_from_data": True,
    "flow": {"num_flows": 4, "sizes": (32, 32)},
    "emission": {
        **layers((64,), "softsign"),
        "kind": "gaussian",
        "scale_kind": "learnable",
        "scale": (1.0,),
    },
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
    config = base()
    config.data.name = "blackbird" if argument in NETWORKS else "quadrotor"
    conditioning = argument.removeprefix("paper_")
    config.model = {
        "name": "ssm",
        "conditioning": conditioning,
        "prefix_length": 1 if conditioning == "partial" else 7,
        "inference": "residual",
        "initial_inference": "base",
        "initial_scale": 0.1,
        "emission_from_data": False,
        **NETWORKS.get(argument, STAND_IN),
    }
    config.objective.kl_warmup_steps = 2_000
    config.optimizer.name = "adam"
    config.optimizer.clip_norm = 100.0
    config.train.eval_every = 500
    config.train.log_every = 500
    config.train.checkpoint_every = 2_000
    if argument in NETWORKS:
        batch_size, rate, beta_1 = OPTIMIZATION[argument]
        config.train.batch_size = batch_size
        config.train.num_steps = 30_000
        config.optimizer.update(learning_rate=rate, momentum=beta_1, schedule="constant")
    else:
        config.train.batch_size = 64
        config.train.num_steps = 15_000
        config.train.early_stopping_evals = 10
        config.optimizer.learning_rate = 1e-3
    return config


def tiny():
    config = get_config()
    config.model.state_dim = 3
    config.model.flow.update(num_flows=2, sizes=(8,))
    config.model.features.size = 8
    config.model.emission.sizes = (8,)
    for name in ("transition", "prefix", "inverse_initial", "inverse_residual"):
        config.model[name].sizes = (8, 8)
    return config
