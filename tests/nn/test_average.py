"""Parameters that `init` takes from the average example, and the example that `init` is given."""

import jax
import jax.numpy as jnp
import numpy as np

from rlvm.data.dataset import Dataset
from rlvm.jobs import experiment as experiments
from rlvm.nn.average import LEAST, Background, Centered

IMAGES = jnp.array([[[0.0, 1.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])  # [2, 2, 2]


def test_a_center_starts_at_the_mean_and_then_stays_what_it_is():
    model = Centered()
    variables = model.init(jax.random.key(0), IMAGES)
    np.testing.assert_allclose(model.apply(variables, IMAGES).mean(0), 0.0, atol=1e-7)
    np.testing.assert_array_equal(
        model.apply(variables, jnp.zeros((3, 2, 2)))[0], [[0.0, -1.0], [-0.5, -0.5]]
    )


def test_a_background_starts_at_the_log_odds_and_needs_no_image_later():
    model = Background((2, 2))
    variables = model.init(jax.random.key(0), IMAGES)
    want = np.log([[LEAST, 1 - LEAST], [0.5, 0.5]]) - np.log([[1 - LEAST, LEAST], [0.5, 0.5]])
    for x in (None, jnp.zeros((5, 2, 2))):
        np.testing.assert_allclose(model.apply(variables, x), want, rtol=1e-4, atol=1e-6)
    assert not jnp.any(model.init(jax.random.key(0))["params"]["bias"])


def test_binary_examples_are_the_average_of_the_training_split_and_others_are_not():
    x = np.random.default_rng(0).integers(0, 2, (3, 4)).astype(np.uint8)
    arrays = {"x": x, "lengths": np.array([1, 2, 3])}

    def example(names, kind="binary"):
        train = {name: arrays[name] for name in names}
        return experiments.example_batch(Dataset("d", {"train": train}, {"train": ""}, kind, False))

    average = example(["x"])
    assert average["x"].shape == (2, 4) and average["x"].dtype == np.float32
    np.testing.assert_allclose(average["x"][1], x.mean(0), atol=1e-6)
    for other in (example(["x", "lengths"]), example(["x"], "real")):
        np.testing.assert_array_equal(other["x"][0], x[0])
