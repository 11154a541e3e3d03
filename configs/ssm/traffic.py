"""State-space models of traffic speeds, 26 half hours a day (section 5.4 of "Mind the Gap", 2021).

python launch/train.py --config=configs/ssm/traffic.py:full --manual_dir=M --workdir=W

`partial`, `semi` and `full` train on the METR-LA week (`metr_la_week.npz` in M), a stand-in for the
Seattle loop: one network, conditioning its only difference, early stopping. `paper_partial`,
`paper_semi` and `paper_full` are appendices E.2 to E.4 on the Seattle loop itself
(`speed_matrix_2015.csv` in M; the conditioning overrules the printed `bidirectional`).
"""

from rlvm.jobs.config import emission_from_data, layers, small_state_space, state_space

STAND_IN = {
    "state_dim": 16,
    "flow": {"num_flows": 4, "sizes": (32, 32)},
    **emission_from_data((64,), "softsign"),
    "transition": {"kind": "highway", **layers((64,), "softsign")},
    "features": {"size": 64},
    "prefix": layers((64, 64), "softsign", "softsign"),
    "inverse_initial": layers((64, 64), "softsign", "softsign"),
    "inverse_residual": layers((64, 64), "softsign", "softsign"),
}
POSTERIOR = layers((64,), "softplus", kernel_init="glorot_normal")


def paper(flow, prefix, scale):
    """What appendices E.2 to E.4 have in common, and where they differ."""
    return {
        "state_dim": 64,
        "flow": {"num_flows": 4, "sizes": flow},
        "emission": {
            **layers((64,), "softplus", kernel_init="glorot_normal"),
            "kind": "gaussian",
            "scale_kind": "fixed",
            "scale": scale,
        },
        "transition": {"kind": "plain", **layers((64,), "softsign", kernel_init="orthogonal")},
        "features": {"size": 64},
        "prefix": prefix,
        "inverse_initial": POSTERIOR,
        "inverse_residual": POSTERIOR,
    }


NETWORKS = {
    "paper_partial": paper((32, 64), layers((128, 128), "softsign", "relu"), 2.97241),
    "paper_semi": paper((8, 32), layers((128, 16), "softsign", "tanh"), 0.775862),
    "paper_full": paper((8, 8), layers((64, 32), "relu", "softsign"), 1.28276),
}
# batch size, learning rate, beta_1
OPTIMIZATION = {
    "paper_partial": (8, 1e-4, 0.5),
    "paper_semi": (128, 3e-4, 0.5),
    "paper_full": (8, 3e-4, 0.8),
}


def get_config(argument: str = "full"):
    conditioning = argument.removeprefix("paper_")
    config = state_space(
        conditioning,
        prefix_length=1 if conditioning == "partial" else 7,
        **NETWORKS.get(argument, STAND_IN),
    )
    config.data.name = "traffic" if argument in NETWORKS else "metr_la"
    config.data.allow_missing = True
    if argument in NETWORKS:
        batch_size, rate, beta_1 = OPTIMIZATION[argument]
        config.train.update(batch_size=batch_size, num_steps=150_000, log_every=500)
        config.optimizer.update(learning_rate=rate, momentum=beta_1, schedule="constant")
    else:
        config.objective.kl_warmup_steps = 1_000
        config.train.update(batch_size=64, num_steps=4_000, eval_every=250, log_every=250)
        config.train.early_stopping_evals = 10
    return config


def tiny():
    return small_state_space(get_config())
