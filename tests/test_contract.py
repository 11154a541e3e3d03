"""What every config and every model must be able to do; a new one is found by its config file."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
import synthetic
from configs_found import NAMES, ONE_OF_EACH_MODEL, full, tiny

from rlvm.data.pipeline import training_source
from rlvm.jobs import experiment as experiments
from rlvm.jobs.load import Model
from rlvm.jobs.validate import quantity
from rlvm.training import parallel
from rlvm.training.state import parameter_count
from rlvm.training.step import make_step
from rlvm.types import Density, LatentVariable, Predictor

PLATFORMS = ("tpu", "cuda")


def built(config, narrow=False):
    """The experiment of a config on made data, and the data."""
    data = synthetic.dataset(config, config.train.batch_size, narrow)
    return experiments.build(config, experiments.example_batch(data)), data


def shape_of(name) -> str:
    """What decides the program of a config's step: two configs that agree are lowered once."""
    config = full(name).to_dict()
    return json.dumps([config[part] for part in ("model", "objective", "optimizer")], default=str)


UNIQUE = list({shape_of(name): name for name in reversed(NAMES)}.values())


@pytest.mark.parametrize("name", NAMES)
def test_configs_are_of_full_size_by_themselves_and_small_when_tiny(name):
    state = built(full(name))[0].abstract_state()
    assert parameter_count(state.params) > 0
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state.params))
    small = parameter_count(built(tiny(name), narrow=True)[0].abstract_state().params)
    assert small <= 10_000, f"{name}: tiny() has {small} parameters"


@pytest.mark.parametrize("name", NAMES)
def test_every_model_is_one_of_the_three_kinds(name):
    model = built(tiny(name), narrow=True)[0].model
    kinds = [isinstance(model, kind) for kind in (LatentVariable, Density, Predictor)]
    assert sum(kinds) == 1


@pytest.mark.parametrize("name", UNIQUE)
def test_the_train_step_lowers_for_tpu_and_cuda(name):
    config = full(name)
    experiment, data = built(config)
    step = make_step(experiment.objective, experiment.optimizer, config.optimizer.ema_decay)
    source = training_source(data, config.train.batch_size, config.seed, 1)
    positions = functools.partial(jnp.arange, config.train.batch_size)
    dispatch = jax.jit(parallel.run_steps(step, source, config.seed, positions))
    exported = jax.export.export(dispatch, platforms=PLATFORMS)(
        experiment.abstract_state(), source.inputs(0, 1), jax.ShapeDtypeStruct((), jnp.int32)
    )
    assert exported.platforms == PLATFORMS


@functools.cache
def trained(name, mode):
    """A model's tiny run after two steps in a mode, with the totals of the second."""
    run = runs.start(tiny(name), mode=mode)
    run.steps(1)
    return run, run.steps(1)


@pytest.mark.parametrize("name", ONE_OF_EACH_MODEL)
def test_steps_are_finite_and_move_every_parameter(name):
    run, totals = trained(name, "jit")
    assert all(np.isfinite(value) for value in totals["sums"].values())
    assert all(int(step) == -1 for step in totals["first_bad"].values())
    before = run.experiment.initial_state().params
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), before, run.plain.params)
    still = [
        jax.tree_util.keystr(p) for p, m in jax.tree_util.tree_leaves_with_path(moved) if not m
    ]
    assert not still


@pytest.mark.parametrize("mode", ["pmap", "sharded"])
@pytest.mark.parametrize("name", ONE_OF_EACH_MODEL)
def test_three_modes_agree(name, mode):
    ours, jit = trained(name, mode)[0].plain, trained(name, "jit")[0].plain
    for part in ("params", "extra", "ema"):
        runs.assert_close(getattr(ours, part), getattr(jit, part), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ONE_OF_EACH_MODEL)
def test_what_is_evaluated_is_finite_and_the_same_without_jit(name):
    run, _ = trained(name, "jit")
    experiment, state = run.experiment, run.plain
    terms, selects = quantity(experiment)
    variables = {"params": state.eval_params, **state.extra}
    batch = {k: jnp.asarray(v) for k, v in experiment.example.items()}
    keys = jax.random.split(jax.random.key(0), len(batch["mask"]))

    def evaluate(variables, batch, keys):
        return terms(experiment.model.bind(variables), batch, keys)

    jitted, plain = jax.jit(evaluate)(variables, batch, keys), evaluate(variables, batch, keys)
    assert np.isfinite(jitted[selects]).all()
    runs.assert_close(jitted, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ONE_OF_EACH_MODEL)
def test_models_sample(name):
    run, _ = trained(name, "jit")
    experiment = run.experiment
    if isinstance(experiment.model, Predictor):
        pytest.skip("a Predictor predicts; it has no samples")
    model = Model(experiment, run.plain, "latest:2", {})
    draws = np.asarray(model.sample(3, seed=1))
    assert draws.shape == (3, *experiment.example["x"].shape[1:])
    np.testing.assert_array_equal(draws, model.sample(3, seed=1))
    assert np.isfinite(draws).all()
