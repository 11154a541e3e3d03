"""Paired differences between two models on the same examples, with clustered intervals."""

from typing import NamedTuple

import numpy as np

AT_ONCE = 2**22  # weights in memory


class Difference(NamedTuple):
    """A mean difference, its 95% interval and how many clusters that rests on."""

    mean: float
    low: float
    high: float
    num_clusters: int


def paired_bootstrap(
    differences: np.ndarray, clusters: np.ndarray, num_resamples: int = 10_000, seed: int = 0
) -> Difference:
    """Mean of `differences` [N] with the percentile interval of a bootstrap over whole clusters.

    Examples of one cluster [N] (a sensor, a flight) are not independent: clusters are drawn with
    replacement, and each resample's mean is sum_c w_c sum_{i in c} d_i / sum_c w_c n_c.
    """
    if len(differences) != len(clusters):
        raise ValueError(f"{len(differences)} differences came with {len(clusters)} clusters.")
    names, index = np.unique(clusters, return_inverse=True)
    count = len(names)
    if count < 2:
        raise ValueError(f"A clustered bootstrap needs at least 2 clusters; got {count}.")
    sums, sizes = np.bincount(index, differences), np.bincount(index)
    rng, some = np.random.default_rng(seed), max(1, AT_ONCE // count)
    means: list[np.ndarray] = []
    for start in range(0, num_resamples, some):
        shape = min(some, num_resamples - start)
        weights = rng.multinomial(count, [1 / count] * count, shape)
        means.append((weights @ sums) / (weights @ sizes))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return Difference(float(np.mean(differences)), float(low), float(high), count)
