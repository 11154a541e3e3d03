"""The benchmark's networks are the same in both libraries."""

import jax
import numpy as np
import pytest

from rlvm.jobs import benchmark_ladder
from rlvm.jobs import experiment as experiments

ROWS = {
    "table_8": (
        ("ConvLSTM", 1, 2, (1, 3), "ConvG2", (1, 3)),
        ("ConvLSTM", 2, 3, (1, 3), "ConvG2", (1, 3)),
        ("AvgPool", 8, None, (1, 8), "G1", None),
        ("LSTM", None, 4, None, "G1", None),
        ("SoftMax", None, 5, None, "Identity", None),
    ),
    "table_5": (
        ("ConvLSTM", 1, 2, (3, 3), "ConvG3", (5, 5)),
        ("Conv", 1, 3, (3, 3), "ConvG3", (3, 3)),
        ("MaxPool", 2, None, (2, 2), "ConvG3", (6, 6)),
        ("AvgPool", 2, None, (2, 2), "G1", None),
        ("LSTM", None, 4, None, "G1", None),
        ("SoftMax", None, 10, None, None, None),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("table", list(ROWS))
def test_both_libraries_have_the_same_loss(table):
    pytest.importorskip("torch")
    config = benchmark_ladder.network(benchmark_ladder.TABLES[table][0], 3)
    config.model.layers = ROWS[table]
    if table == "table_5":
        config.model.frame_shape = (8, 8, 1)
    data = benchmark_ladder.synthetic(config, 3, size=3)
    experiment = experiments.build(config, experiments.example_batch(data))
    draw = np.random.default_rng(0)
    params = jax.tree.map(
        lambda p: p + 0.2 * draw.normal(size=p.shape).astype(p.dtype),
        experiment.initial_state().params,
    )
    model = benchmark_ladder.torch_ladder(experiment, params)
    ours, theirs = benchmark_ladder.losses(experiment, params, model, data.splits["train"])
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
