"""Every baseline trains, is chosen on validation and is evaluated by the ordinary jobs."""

import numpy as np
import pytest
from networks import binary_vectors

from rlvm.jobs import config as configs
from rlvm.jobs import load
from rlvm.jobs.evaluate import Request, evaluate
from rlvm.jobs.train import train

SIZES = {
    "nade": {"hidden_units": 3},
    "nade:arrays,eonade": {"hidden_units": 3, "orderings": 2},
    "mixture": {"components": 2},
    "rbm": {"hidden_units": 3, "num_chains": 10, "sample_steps": 5},
}


def rows(size, seed):
    """Two prototypes of six units with a tenth of their bits flipped."""
    draw = np.random.default_rng(seed)
    clean = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]])[draw.integers(0, 2, size)]
    return (clean ^ (draw.random(clean.shape) < 0.1)).astype(np.uint8)


@pytest.mark.parametrize("model", SIZES)
def test_baseline(model, tmp_path):
    np.savez(tmp_path / "x.npz", train=rows(64, 0), valid=rows(64, 1), test=rows(64, 2))
    config = configs.load(f"darn/{model}").unlock()
    config.model.update(SIZES[model])
    config.data.update({"name": "arrays", "path": str(tmp_path / "x.npz")})
    config.train.update({"num_steps": 60, "batch_size": 64, "eval_every": 20})
    config.train.update({"log_every": 20, "checkpoint_every": 60, "steps_per_dispatch": 20})
    if model != "mixture":
        config.optimizer.update({"learning_rate": 0.05, "ema_decay": 0.5})
    train(config.lock(), tmp_path / "run", data_dir=tmp_path / "data")
    result, _ = evaluate(tmp_path / "run", Request(), data_dir=tmp_path / "data")
    assert result["estimator"] == ("ais" if model == "rbm" else "exact")
    assert result["nll_nats"] < 6 * np.log(2) - 0.2  # fair coins have 6 log 2
    bound = load.load(tmp_path / "run")
    p = np.exp(bound.log_prob(binary_vectors(6).astype(np.float32)))
    assert p.sum() == pytest.approx(1, abs=0.02 if model == "rbm" else 1e-4)
    assert bound.sample(3).shape == (3, 6)
