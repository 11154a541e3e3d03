"""Adjusted mutual information of two clusterings, compiled.

    AMI = (MI - E[MI]) / (mean of the two entropies - E[MI])

E[MI] is taken over all clusterings with the same sizes: each count of the contingency table is
hypergeometric.
"""

import jax
import jax.numpy as jnp

from rlvm.types import Array


def contingency(a: Array, b: Array, counted: Array, sizes: tuple[int, int]) -> Array:
    """n_ij = number of counted items with labels (i, j): a, b, counted [N] -> [R, C]."""
    rows = jax.nn.one_hot(a, sizes[0]) * counted[:, None].astype(jnp.float32)
    return rows.T @ jax.nn.one_hot(b, sizes[1])


def adjusted_mutual_information(
    a: Array, b: Array, counted: Array, sizes: tuple[int, int]
) -> Array:
    """AMI of labels a in 0..R-1 and b in 0..C-1, over the items [N] where `counted`: a scalar.

    1 when both clusterings have a single cluster, as they agree.
    """
    counts = contingency(a, b, counted, sizes)
    rows, columns, total = counts.sum(1), counts.sum(0), jnp.maximum(counts.sum(), 1.0)
    expected = expected_information(rows, columns, total, len(a))
    entropies = 0.5 * (_entropy(rows / total) + _entropy(columns / total))
    information = _plogp_ratio(counts, rows, columns, total).sum()
    gain, room = information - expected, entropies - expected
    trivial = entropies < 1e-7
    return jnp.where(trivial, 1.0, gain / jnp.where(jnp.abs(room) < 1e-7, 1e-7, room))


def image_scores(labels: Array, segments: Array, sizes: tuple[int, int]) -> Array:
    """AMI of every image's labels with its segments, over all pixels: [B, ...] each -> [B]."""
    flat = labels.reshape(len(labels), -1), segments.reshape(len(segments), -1)
    counted = jnp.ones(flat[0].shape[1:])

    def score(pair: tuple[Array, Array]) -> Array:
        return adjusted_mutual_information(*pair, counted, sizes)

    return jax.lax.map(score, flat)


def expected_information(rows: Array, columns: Array, total: Array, most: int) -> Array:
    """E[MI] for the given cluster sizes [R], [C]; `most` bounds the number of items."""
    n = jnp.arange(most + 1.0)  # a count can be 0 .. most

    def cell(row: Array, column: Array) -> Array:
        weights = hypergeometric(n, row, column, total)
        return (weights * _plogp_ratio(n, row, column, total)).sum()

    return jax.vmap(lambda row: jax.vmap(lambda column: cell(row, column))(columns))(rows).sum()


def hypergeometric(n: Array, row: Array, column: Array, total: Array) -> Array:
    """P(count = n) for n = 0 .. most: the sizes `row` and `column` overlap by chance.

    Built from the ratio P(n+1)/P(n) and normalised by its sum: log-factorials of thousands lose
    too many digits in float32.
    """
    low, high = jnp.maximum(0.0, row + column - total), jnp.minimum(row, column)
    inside = (n >= low) & (n <= high)
    up, down = (row - n) * (column - n), (n + 1.0) * (total - row - column + n + 1.0)
    rising = inside & (n < high)
    log_ratio = jnp.log(jnp.where(rising, up, 1.0)) - jnp.log(jnp.where(rising, down, 1.0))
    log_p = jnp.concatenate([jnp.zeros(1), jnp.cumsum(log_ratio)[:-1]])
    return jax.nn.softmax(jnp.where(inside, log_p, -jnp.inf))


def _plogp_ratio(n: Array, row: Array, column: Array, total: Array) -> Array:
    """n/N log(N n / (row column)), 0 at n = 0; rows along axis 0 where n is a table."""
    sizes = row[:, None] * column if jnp.ndim(row) else row * column
    safe = jnp.where((n > 0) & (sizes > 0), n, 1.0)
    ratio = jnp.log(safe * (total / jnp.where(sizes > 0, sizes, 1.0)))
    return jnp.where((n > 0) & (sizes > 0), n / total * ratio, 0.0)


def _entropy(p: Array) -> Array:
    return -jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1.0)), 0.0))
