"""The baselines of segmentation against NumPy and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score

from rlvm.inference import texture_clusters

RNG = np.random.default_rng(0)


def test_statistics_are_those_of_a_loop_over_pixels():
    x = RNG.uniform(size=(7, 9))
    got = np.asarray(jax.jit(texture_clusters.local_statistics)(jnp.asarray(x, jnp.float32)))
    want = np.zeros((7, 9, 6))
    places = np.stack(np.meshgrid(range(7), range(9), indexing="ij"), -1)
    for i, j in np.ndindex(7, 9):
        w = np.exp(-0.5 * np.square(places - (i, j)).sum(-1) / texture_clusters.WINDOW**2)
        w /= w.sum()
        mean = (w * x).sum()
        moved = [np.roll(x, shift, (0, 1)) for shift in texture_clusters.NEIGHBOURS]
        want[i, j] = [mean, np.sqrt((w * x**2).sum() - mean**2)] + [
            (w * np.abs(x - other)).sum() for other in moved
        ]
    want = (want - want.mean((0, 1))) / want.std((0, 1))
    np.testing.assert_allclose(got, want.reshape(-1, 6), atol=2e-3)


@pytest.mark.parametrize("num_clusters", [2, 3])
def test_clusters_are_those_of_scikit_learn(num_clusters):
    centres = 4 * np.eye(3)[:num_clusters]
    points = np.concatenate([c + 0.5 * RNG.normal(size=(40, 3)) for c in centres])
    got = jax.jit(texture_clusters.kmeans, static_argnums=1)(jnp.asarray(points), num_clusters)
    want = KMeans(num_clusters, n_init=4, random_state=0).fit_predict(points)
    assert adjusted_mutual_info_score(want, np.asarray(got)) == pytest.approx(1.0)


def test_a_coarse_patch_on_a_fine_ground_is_found():
    segments = np.zeros((2, 32, 32), np.uint8)
    segments[:, 8:24, 8:24] = 1
    fine = RNG.uniform(0.4, 0.6, (2, 32, 32))
    coarse = np.kron(RNG.uniform(size=(2, 16, 16)), np.ones((1, 2, 2)))
    x = np.where(segments, coarse, fine).astype(np.float32)
    assert float(texture_clusters.score(jnp.asarray(x), jnp.asarray(segments)).min()) > 0.5


def test_the_usual_place_is_scored_against_each_image():
    train = RNG.uniform(size=(9, 6, 8)) < np.linspace(0.1, 0.9, 8)  # the digit stands to the right
    place = texture_clusters.usual_place(train)
    votes = np.array([[sum(mask[i, j] for mask in train) for j in range(8)] for i in range(6)])
    np.testing.assert_array_equal(place, votes >= 5)
    segments = (RNG.uniform(size=(3, 6, 8)) < np.linspace(0.1, 0.9, 8)).astype(np.uint8)
    got = texture_clusters.place_score(jnp.asarray(place), jnp.asarray(segments))
    want = [adjusted_mutual_info_score(mask.ravel(), place.ravel()) for mask in segments]
    np.testing.assert_allclose(got, want, atol=1e-4)
