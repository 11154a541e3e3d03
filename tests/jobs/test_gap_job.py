import jax
import numpy as np
import pytest

from rlvm.jobs import config as configs
from rlvm.jobs import evaluate, gap
from rlvm.jobs.load import load, open_data
from rlvm.jobs.train import train
from rlvm.models.ssm import preset


def trained(folder, num_steps):
    """The folder of a tiny partially conditioned model of sums of noise, seen in noise."""
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.normal(size=(200, 5, 1)), axis=1) + rng.normal(size=(200, 5, 1))
    np.savez(folder / "x.npz", train=x.astype(np.float32), test=x[:100].astype(np.float32))
    config = configs.module("ssm/arrays").tiny().copy_and_resolve_references()
    config.data.path = str(folder / "x.npz")
    config.model.conditioning = "partial"
    config.train.update(num_steps=num_steps, eval_every=num_steps, batch_size=50)
    train(config, folder / "work", data_dir=folder / "data")
    return folder


def test_the_refit_moves_the_posterior_alone(tmp_path):
    run = trained(tmp_path, 2)
    model = load(run / "work")
    data = open_data(model, run / "data", None)
    refitted = gap.refit(model, data, num_steps=3)
    before, after = model.state.params, refitted.state.params
    for name in before.keys() - {"inverse"}:
        kept = zip(jax.tree.leaves(before[name]), jax.tree.leaves(after[name]), strict=True)
        for old, new in kept:
            np.testing.assert_array_equal(old, new, err_msg=name)
    fresh = refitted.experiment.initial_state().params["inverse"]
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), fresh, after["inverse"])
    assert all(jax.tree.leaves(moved))
    assert model.experiment.model.conditioning == preset("partial", 7)
    assert refitted.experiment.model.conditioning == preset("full", 7)


@pytest.mark.slow
def test_the_parts_of_a_gap_add_up_and_three_evidences_agree(tmp_path):
    run = trained(tmp_path, 1500)
    request = gap.Request(num_samples=2000, num_particles=2000, repeats=3, num_steps=100)
    found = gap.gap(run / "work", request, data_dir=run / "data")
    evidences = [found[f"{name}_nats"] for name in gap.EVIDENCES]
    np.testing.assert_allclose(evidences, np.mean(evidences), atol=0.05)
    bound = evaluate.Request(estimator="bound", repeats=3)
    expected, _ = evaluate.evaluate(run / "work", bound, data_dir=run / "data")
    np.testing.assert_allclose(found["bound_nats"], -expected["bound_nats"], rtol=1e-6)
    assert found["bound_nats"] < min(evidences) - 0.1
    for total, end in (
        ("log_p_minus_elbo_nats", max(evidences)),
        ("refit_difference_nats", found["refit_bound_nats"]),
    ):
        np.testing.assert_allclose(found[total], end - found["bound_nats"], rtol=1e-6)
    # No posterior of the same model passes its evidence.
    assert found["refit_bound_nats"] < max(evidences) + 0.05
    low, high = found["mc95"]["refit_bound"]
    assert low < found["refit_bound_nats"] < high
