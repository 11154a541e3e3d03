import jax
import numpy as np

from rlvm.jobs import config as configs
from rlvm.jobs import gap
from rlvm.jobs.load import load, open_data
from rlvm.jobs.train import train
from rlvm.models.ssm import preset


def test_the_refit_moves_the_posterior_alone(tmp_path):
    x = np.random.default_rng(0).normal(size=(24, 5, 1)).astype(np.float32)
    np.savez(tmp_path / "x.npz", train=x, test=x)
    config = configs.module("ssm/arrays").tiny().copy_and_resolve_references()
    config.data.path = str(tmp_path / "x.npz")
    config.model.conditioning = "partial"
    config.train.update(num_steps=2, eval_every=2, batch_size=8, steps_per_dispatch=2)
    train(config, tmp_path / "work", data_dir=tmp_path / "data")
    model = load(tmp_path / "work")
    data = open_data(model, tmp_path / "data", None)
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
