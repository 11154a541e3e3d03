"""A state-space model on your own sequences: any `.npz` with `train` [N, T, D], or [total, D] with
`train_lengths`, and `valid`, `test`, `train_controls`, ... if you have them. NaN is unobserved.

python launch/train.py --config=configs/ssm/arrays.py --config.data.path=my.npz --workdir=W

The emission is Bernoulli for binary x, else Gaussian with a learned scale (the log says which).
--config.model.conditioning=partial|semi|full|STORN|VRNN|DKF|DKS|DVBF|PlaNet|SLAC chooses what the
inference network sees; those without the last state (STORN, DKF) infer states, not residuals.
Long sequences: --config.model.segment=N near the square root of their length T takes memory of
order sqrt(T) for the bound's gradient. A tighter bound, by a particle filter:
--config.objective.name=fivo --config.objective.num_samples=8 --config.objective.kl_warmup_steps=0.
"""

from rlvm.jobs.config import emission_from_data, layers, small_state_space, state_space


def get_config(argument: str = ""):
    config = state_space(
        "full",
        prefix_length=7,
        state_dim=16,
        observation_mean=(0.0,),
        observation_scale=(1.0,),
        segment=0,
        **emission_from_data((64, 64), "softsign", "softsign"),
        flow={"num_flows": 4, "sizes": (32, 32)},
        transition={"kind": "highway", **layers((64, 64), "relu", "tanh")},
        features={"size": 64},
        prefix=layers((64, 64), "softsign", "softsign"),
        inverse_initial=layers((64, 64), "softsign", "relu"),
        inverse_residual=layers((64, 64), "relu", "softsign"),
    )
    config.data.name = "arrays"
    config.data.allow_missing = True
    config.optimizer.learning_rate = 2e-3
    config.train.batch_size = 64
    config.train.num_steps = 20_000
    config.train.eval_every = 500
    config.train.log_every = 500
    config.train.checkpoint_every = 2_000
    config.train.early_stopping_evals = 10
    config.train.num_buckets = 4  # batches of sequences of similar length
    return config


def tiny():
    config = small_state_space(get_config())
    config.train.num_buckets = 1
    return config
