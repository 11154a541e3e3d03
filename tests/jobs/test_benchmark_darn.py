"""The benchmarks of DARN compare equals: same draws, same losses."""

import jax
import numpy as np
import pytest

from rlvm.jobs import benchmark, benchmark_darn, benchmark_sampling
from rlvm.jobs import experiment as experiments

pytest.importorskip("torch")


def test_the_three_samplers_draw_the_same():
    p = benchmark_sampling.distribution(70)
    assert benchmark_sampling.differing_chains(p, 64) == {"blocked": 0, "torch": 0}


def test_a_small_run_has_every_row():
    result = benchmark_sampling.benchmark_sampling(units=(20, 30), chains=8, count=1, rounds=2)
    for name in ("units_20", "units_30"):
        assert set(result[name]["milliseconds"]) == {"blocked", "unit_by_unit", "torch"}
        assert all(low > 0 for low, _, _ in result[name]["milliseconds"].values())


@pytest.mark.parametrize("name", ["deep_darn", "nade"])
def test_both_libraries_have_the_same_loss(name):
    config = benchmark_darn.network(name).copy_and_resolve_references().unlock()
    if name == "deep_darn":
        config.model.stochastic_units, config.model.deterministic_units = (3, 3, 3), (5, 5, 5)
    else:
        config.model.hidden_units = 4
    data = benchmark_darn.synthetic(9, size=6)
    experiment = experiments.build(config, experiments.example_batch(data))
    draw = np.random.default_rng(0)
    params = jax.tree.map(
        lambda p: p + 0.3 * draw.normal(size=p.shape).astype(p.dtype),
        experiment.initial_state().params,
    )
    model = benchmark_darn.torch_network(config, 9)
    x = data.splits["train"]["x"]
    ours, theirs = benchmark_darn.losses(experiment, params, model, x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert ours > 1.0


def test_an_unknown_suite_is_one_line():
    with pytest.raises(ValueError, match=r"No suite 'x'. Suites: train,.*darn"):
        benchmark.benchmark("x")
