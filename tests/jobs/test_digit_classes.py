import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits
from synthetic import made

from rlvm.jobs import digit_classes
from rlvm.models.digit_classifier import DigitClassifier


def test_kl_to_uniform_is_the_formula():
    assert digit_classes.kl_to_uniform(np.full(10, 7)) == pytest.approx(0.0)
    assert digit_classes.kl_to_uniform(np.eye(10)[3]) == pytest.approx(np.log(10))
    shares = np.array([0.5, 0.25, 0.25, 0.0])
    np.testing.assert_allclose(digit_classes.kl_to_uniform(8 * shares), np.log(4) - 1.5 * np.log(2))


def test_images_move_by_up_to_two_pixels_each_way():
    image = np.zeros((28, 28), np.float32)
    image[10, 20] = 1.0
    keys = jax.random.split(jax.random.key(0), 400)
    found = np.asarray(digit_classes.moved(jnp.tile(image.ravel(), (400, 1)), keys))
    rows, columns = np.divmod(np.argmax(found, axis=1), 28)
    assert set(rows) == {8, 9, 10, 11, 12} and set(columns) == {18, 19, 20, 21, 22}
    assert np.corrcoef(rows, columns)[0, 1] < 0.2


@pytest.mark.slow
def test_the_classifier_learns_digits(tmp_path):
    """Scikit-learn's 8x8 digits, enlarged: over 90% after 600 steps; and the file comes back."""
    digits = load_digits()
    x = np.kron(digits.images > 7, np.ones((3, 3)))
    x = np.pad(x, ((0, 0), (2, 2), (2, 2))).reshape(-1, 784).astype(np.uint8)
    y = digits.target.astype(np.int32)
    data = made({"train": {"x": x[:1400], "y": y[:1400]}}, kind="binary")
    params = digit_classes.train_classifier(data, num_steps=600)
    assert np.mean(digit_classes.classify(params, x[1400:]) == y[1400:]) > 0.9
    file = tmp_path / "C.msgpack"
    file.write_bytes(digit_classes.flax.serialization.to_bytes(params))
    again = digit_classes.open_classifier(str(file), 0)
    np.testing.assert_array_equal(
        digit_classes.classify(again, x[:50]), digit_classes.classify(params, x[:50])
    )


def test_the_classifier_takes_images_flat_or_by_rows():
    x = np.random.default_rng(0).integers(0, 2, (3, 784)).astype(np.float32)
    model = DigitClassifier(layers=((2, 3, 2),), units=4)
    params = model.init(jax.random.key(0), x)
    np.testing.assert_array_equal(
        model.apply(params, x), model.apply(params, x.reshape(-1, 28, 28))
    )
