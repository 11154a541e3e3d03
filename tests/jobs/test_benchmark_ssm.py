import jax
import numpy as np
import pytest

from rlvm.jobs import benchmark_ssm
from rlvm.jobs import experiment as experiments


@pytest.mark.slow
def test_both_libraries_have_the_same_loss():
    pytest.importorskip("torch")
    from rlvm.jobs.torch_ssm import TorchSSM

    config, data = benchmark_ssm.network(4), benchmark_ssm.synthetic(6, size=4)
    experiment = experiments.build(config, experiments.example_batch(data))
    params = experiment.initial_state().params
    draw = np.random.default_rng(0)
    params = jax.tree.map(lambda p: p + 0.1 * draw.normal(size=p.shape).astype(p.dtype), params)
    model = TorchSSM(config.model, benchmark_ssm.DIM, 6)
    ours, theirs = benchmark_ssm.losses(experiment, params, model, data.splits["train"]["x"])
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert ours > 10.0
