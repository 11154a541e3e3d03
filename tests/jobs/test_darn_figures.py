"""Figures of the DARN paper: what is kept, what is drawn again, where images go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs

from rlvm.jobs import darn_figures
from rlvm.jobs import experiment as experiments
from rlvm.jobs.architecture import draw_architecture
from rlvm.jobs.load import Model


@pytest.fixture(scope="module")
def model():
    """Two stochastic layers of 3 and 2 units on 9 visibles, with large random weights."""
    config = runs.small_config().copy_and_resolve_references().unlock()
    config.model.stochastic_units, config.model.deterministic_units = (3, 2), (4, 4)
    config.model.autoregressive_visibles = False
    example = {"x": np.zeros((2, 9), np.float32), "mask": np.ones(2, np.float32)}
    experiment = experiments.build(config, {**example, "step": np.zeros((), np.int32)})
    state = experiment.initial_state()
    draw = np.random.default_rng(0)
    params = jax.tree.map(lambda p: jnp.asarray(draw.normal(0, 2, p.shape)), state.params)
    return Model(experiment, state.replace(params=params, ema=params), "latest:0", {})


def test_with_all_layers_kept_the_visibles_follow_them(model):
    keys = jax.random.split(jax.random.key(0), 2000)
    kept = {0: jnp.tile(jnp.array([1.0, 0.0, 1.0]), (2000, 1)), 1: jnp.ones((2000, 2))}
    x = darn_figures.redrawn(model, kept, keys)
    p = jax.nn.sigmoid(model.likelihood(jnp.array([[1.0, 0.0, 1.0, 1.0, 1.0]])).logits)[0]
    np.testing.assert_allclose(x.mean(axis=0), p, atol=0.05)


def test_layers_below_those_kept_are_drawn_from_the_prior(model):
    keys = jax.random.split(jax.random.key(0), 2000)
    top = jnp.tile(jnp.array([1.0, 0.0]), (2000, 1))
    x = darn_figures.redrawn(model, {1: top}, keys)
    bits = (np.arange(8)[:, None] >> np.arange(3)) & 1
    h = jnp.asarray(np.concatenate([bits, np.tile([1, 0], (8, 1))], axis=1), jnp.float32)
    joint = np.exp(np.float64(model.prior().log_prob(h)))
    p = (joint / joint.sum()) @ np.float64(jax.nn.sigmoid(model.likelihood(h).logits))
    np.testing.assert_allclose(x.mean(axis=0), p, atol=0.05)


def test_a_block_for_every_depth(model):
    x = jnp.asarray(np.random.default_rng(1).integers(0, 2, (4, 9)), jnp.float32)
    blocks = darn_figures.depths(model, x)
    assert list(blocks) == ["input", "from layer 1 up", "from layer 2 up", "nothing kept"]
    assert all(images.shape == (4, 3, 3) for images in blocks.values())


def test_representation_by_layer(model):
    lower, top = darn_figures.representation(model, jnp.ones((1, 9)))
    assert lower.shape == (1, 3) and top.shape == (25, 2)
    assert ((lower > 0) & (lower < 1)).all() and set(np.unique(top)) <= {0.0, 1.0}


def test_images_stand_in_a_mosaic_in_order():
    images = np.arange(3.0)[:, None, None] * np.ones((3, 2, 2))
    grid = darn_figures.mosaic(images)
    expected = [[0, 0, 0.5, 1, 1], [0, 0, 0.5, 1, 1], [0.5] * 5, [2, 2, 0.5, 0, 0]]
    np.testing.assert_array_equal(grid, [*expected, [2, 2, 0.5, 0, 0]])
    assert darn_figures.mosaic(np.ones((32, 3, 3))).shape == (4 * 4 - 1, 8 * 4 - 1)  # no gap


def test_figures_are_written(model, tmp_path):
    x = jnp.ones((4, 9))
    darn_figures.draw_blocks(darn_figures.depths(model, x), str(tmp_path / "depths.png"))
    layers = darn_figures.representation(model, x[:1])
    darn_figures.draw_representation(layers, np.eye(3), str(tmp_path / "layers.png"))
    draw_architecture(model.experiment.config.model, 9, str(tmp_path / "architecture.png"))
    assert all((tmp_path / f"{n}.png").stat().st_size > 5000 for n in ("depths", "architecture"))
    assert (tmp_path / "layers.png").stat().st_size > 2000


@pytest.mark.slow
def test_from_a_workdir(trained, data_dir, tmp_path):
    for plot in ("architecture", "samples", "probabilities"):
        darn_figures.draw(plot, [str(trained)], str(tmp_path / f"{plot}.png"), data_dir)
        assert (tmp_path / f"{plot}.png").exists()
    with pytest.raises(ValueError, match="needs a model of several stochastic layers"):
        darn_figures.draw("depths", [str(trained)], str(tmp_path / "d.png"), data_dir)
