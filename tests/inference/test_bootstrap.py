import numpy as np
import pytest

from rlvm.inference import bootstrap
from rlvm.inference.bootstrap import paired_bootstrap


def test_the_interval_is_that_of_the_cluster_means():
    """Clusters of equal size: the resampled mean has variance var(cluster means) / C."""
    rng = np.random.default_rng(0)
    effects = rng.normal(size=200)
    differences = np.repeat(effects, 5)
    clusters = np.repeat(np.arange(200) + 7, 5)
    found = paired_bootstrap(differences, clusters)
    half = 1.96 * effects.std() / np.sqrt(200)
    assert found.num_clusters == 200
    np.testing.assert_allclose(found.mean, effects.mean())
    np.testing.assert_allclose(found.high - effects.mean(), half, atol=0.01)
    np.testing.assert_allclose(effects.mean() - found.low, half, atol=0.01)
    alone = paired_bootstrap(differences, np.arange(1000))  # as if examples were independent
    np.testing.assert_allclose(alone.high - alone.low, 2 * half / np.sqrt(5), rtol=0.05)


def test_clusters_are_resampled_whole_and_weigh_by_their_size():
    """Against a bootstrap that lays out the examples of every drawn cluster; large ones differ."""
    rng = np.random.default_rng(1)
    sizes = np.array([1, 2, 3, 20, 30])
    clusters = np.repeat(np.arange(5), sizes)
    differences = rng.normal(size=len(clusters)) + (clusters > 2)
    groups = [differences[clusters == c] for c in range(5)]
    means = [
        np.concatenate([groups[c] for c in rng.integers(0, 5, 5)]).mean() for _ in range(20_000)
    ]
    found = paired_bootstrap(differences, clusters, num_resamples=20_000)
    np.testing.assert_allclose(found.mean, differences.mean())
    np.testing.assert_allclose(
        [found.low, found.high], np.quantile(means, [0.025, 0.975]), atol=0.03
    )


def test_resamples_drawn_in_parts_are_the_same(monkeypatch):
    differences, clusters = np.random.default_rng(2).normal(size=30), np.arange(30) // 2
    whole = paired_bootstrap(differences, clusters, num_resamples=100)
    monkeypatch.setattr(bootstrap, "AT_ONCE", 15 * 7)
    assert paired_bootstrap(differences, clusters, num_resamples=100) == whole


def test_errors_say_what_came():
    with pytest.raises(ValueError, match="3 differences came with 2 clusters"):
        paired_bootstrap(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="at least 2 clusters; got 1"):
        paired_bootstrap(np.zeros(3), np.zeros(3))
