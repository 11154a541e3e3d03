"""How often a model's samples show each digit: KL(classes || uniform), beside that of real digits.

The check of "Mind the Gap", section 5.3. Classes are those of a small CNN, trained here on MNIST
binarised afresh in every batch and moved by up to two pixels. Real test images through the same CNN
give the floor: they are not uniform either, and the CNN errs.
"""

import logging
import pathlib
from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
from etils import epath

from rlvm.data import dataset
from rlvm.inference.objectives import masked_mean
from rlvm.jobs import config as configs
from rlvm.jobs import load as loading
from rlvm.jobs.optimise import optimise
from rlvm.models.digit_classifier import NUM_CLASSES, SIDE, DigitClassifier
from rlvm.training.state import create
from rlvm.types import Array, PyTree

LOG = logging.getLogger(__name__)

FURTHEST = 2  # pixels by which a training image is moved
RATE = 2e-3  # of Adam at the start of a cosine
CHUNK = 1000  # images drawn or classified at a time
KEPT = 100  # samples kept for a picture


def kl_to_uniform(counts: np.ndarray) -> float:
    """KL(classes || uniform) = sum_c f_c log(K f_c) of class counts [K], in nats."""
    shares = np.asarray(counts, np.float64) / np.sum(counts)
    seen = shares[shares > 0]
    return float(np.sum(seen * np.log(len(shares) * seen)))


def moved(x: Array, rng: Array) -> Array:
    """Images [B, 784] each moved by up to two pixels up or down, left or right."""

    def move(image, key):
        shift = jax.random.randint(key, (2,), -FURTHEST, FURTHEST + 1)
        return jnp.roll(image.reshape(SIDE, SIDE), shift, (0, 1)).ravel()

    return jax.vmap(move)(x, rng)


def train_classifier(data: dataset.Dataset, num_steps: int, seed: int = 0) -> PyTree:
    """Parameters of the classifier after `num_steps` of Adam on a data set with labels `y`."""
    config = configs.base()
    config.seed, config.train.num_steps, config.train.batch_size = seed, num_steps, 128
    model = DigitClassifier()
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, num_steps))

    def objective(params, extra, batch, rng):
        logits = model.apply({"params": params}, moved(batch["x"], rng))
        nll = optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"])
        return masked_mean(nll, batch["mask"]), (extra, {"nll": nll})

    variables = jax.jit(model.init)(jax.random.key(seed), jnp.zeros((1, SIDE * SIDE)))
    state = create(variables, optimizer, ema=False)
    return optimise(objective, optimizer, state, data, config).params


@jax.jit
def _classes(params: PyTree, x: Array) -> Array:
    logits: Any = DigitClassifier().apply({"params": params}, x)
    return jnp.argmax(logits, axis=-1)


def classify(params: PyTree, x: np.ndarray) -> np.ndarray:
    """The class of each binary image: [N]."""
    flat = np.asarray(x, np.float32).reshape(len(x), -1)
    parts = [_classes(params, flat[k : k + CHUNK]) for k in range(0, len(flat), CHUNK)]
    return np.concatenate(parts)


def open_classifier(path: str, num_steps: int, data_dir=None, manual_dir=None) -> PyTree:
    """The classifier's parameters from the file `path`, trained and written first if need be."""
    file = pathlib.Path(path)
    if not file.is_file():
        data = dataset.load(
            "mnist/dynamic",
            data_dir=data_dir or dataset.default_data_dir(),
            manual_dir=manual_dir,
        )
        LOG.info("Training the classifier for %d steps into %s.", num_steps, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(flax.serialization.to_bytes(train_classifier(data, num_steps)))
    blank = jax.eval_shape(DigitClassifier().init, jax.random.key(0), jnp.zeros((1, SIDE * SIDE)))[
        "params"
    ]
    return flax.serialization.from_bytes(blank, file.read_bytes())


def measure(
    path: epath.PathLike,
    params: PyTree,
    num_samples: int = 10_000,
    checkpoint: str = "best",
    data_dir: epath.PathLike | None = None,
    manual_dir: epath.PathLike | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The JSON object; and for a picture class counts of samples and test, and some samples."""
    model = loading.load(path, checkpoint)
    test = loading.open_data(model, data_dir, manual_dir).splits["test"]
    if np.prod(test["x"].shape[1:]) != SIDE * SIDE:
        raise ValueError(f"{path} holds a model of {test['x'].shape[1:]}; expected 28x28 digits.")
    chunks = [min(CHUNK, num_samples - start) for start in range(0, num_samples, CHUNK)]
    samples = np.concatenate([model.sample(n, seed) for seed, n in enumerate(chunks)])
    counts = np.bincount(classify(params, samples), minlength=NUM_CLASSES)
    found = classify(params, test["x"])
    counts_test = np.bincount(found, minlength=NUM_CLASSES)
    result = {
        "dataset": model.data["name"],
        **model.origin,
        "num_samples": num_samples,
        "classes_kl_nats": kl_to_uniform(counts),
        "classes_kl_nats_of_test": kl_to_uniform(counts_test),
        "counts": counts.tolist(),
        "counts_of_test": counts_test.tolist(),
        "classifier_test_accuracy": float(np.mean(found == test["y"])) if "y" in test else None,
    }
    kept = np.asarray(samples[:KEPT]).reshape(-1, SIDE, SIDE)
    return result, {"counts": counts, "counts_of_test": counts_test, "samples": kept}
