import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

from rlvm.inference import ami

score = jax.jit(ami.adjusted_mutual_information, static_argnums=3)


@pytest.mark.parametrize(("size", "agreement"), [(40, 0.0), (300, 0.5), (7056, 0.05), (7056, 0.9)])
def test_ami_is_that_of_scikit_learn(size, agreement):
    rng = np.random.default_rng(size)
    a = rng.integers(0, 3, size)
    b = np.where(rng.uniform(size=size) < agreement, a % 2, rng.integers(0, 2, size))
    got = score(a, b, jnp.ones(size), (3, 2))
    np.testing.assert_allclose(got, adjusted_mutual_info_score(a, b), atol=2e-6)


def test_uncounted_items_do_not_count():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, 200), rng.integers(0, 2, 200)
    counted = rng.uniform(size=200) < 0.6
    want = adjusted_mutual_info_score(a[counted], b[counted])
    np.testing.assert_allclose(score(a, b, counted, (3, 2)), want, atol=2e-6)


def test_expected_information_is_that_of_scikit_learn():
    rng = np.random.default_rng(3)
    a, b = rng.choice(4, 500, p=[0.7, 0.2, 0.09, 0.01]), rng.choice(3, 500, p=[0.9, 0.08, 0.02])
    table = contingency_matrix(a, b, sparse=True)
    rows, columns = (np.asarray(table.sum(axis), float).ravel() for axis in (1, 0))
    got = ami.expected_information(jnp.asarray(rows), jnp.asarray(columns), jnp.asarray(500.0), 500)
    np.testing.assert_allclose(got, expected_mutual_information(table, 500), rtol=1e-4)


@pytest.mark.parametrize(
    ("a", "b"),
    [([0, 0, 0, 0], [1, 1, 1, 1]), ([0, 0, 1, 1], [1, 1, 0, 0]), ([0, 0, 0, 0], [0, 1, 0, 1])],
)
def test_degenerate_clusterings(a, b):
    got = score(jnp.array(a), jnp.array(b), jnp.ones(4), (3, 2))
    np.testing.assert_allclose(got, adjusted_mutual_info_score(a, b), atol=1e-6)
