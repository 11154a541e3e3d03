"""Mixture of Bernoulli vectors, the first baseline of tables 1 and 2; EM trains it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.types import Array, Batch


class MixtureOfBernoullis(nn.Module):
    """p(x) = sum_k share_k prod_d Bernoulli(x_d; mean_kd).

    The parameters are expected statistics per example, P(k) and P(k, x_d = 1). `smoothing` is the
    pseudo-count of each value of each unit, as a share of the data: the mean is
    (P(k, x_d = 1) + smoothing) / (P(k) + 2 smoothing), the mode under a Beta prior.
    """

    data_dim: int
    components: int
    smoothing: float = 1e-6

    def setup(self):
        """Equal shares, means drawn from [1/4, 3/4]."""
        shape = (self.components, self.data_dim)
        equal = 1.0 / self.components
        self.share = self.param("share", nn.initializers.constant(equal), (self.components,))
        self.ones = self.param(
            "ones", lambda key: equal * jax.random.uniform(key, shape, minval=0.25, maxval=0.75)
        )

    def __call__(self, batch: Batch) -> Array:
        """The entry for `init`."""
        return self.log_prob(batch)

    def means(self) -> Array:
        """p(x_d = 1 | k): [K, D]."""
        return (self.ones + self.smoothing) / (self.share[:, None] + 2 * self.smoothing)

    def log_joint(self, batch: Batch) -> Array:
        """log p(k, x): [B, K]."""
        means = self.means()
        log_odds, log_zero = jnp.log(means) - jnp.log1p(-means), jnp.log1p(-means)
        log_share = jnp.log(jnp.maximum(self.share, 1e-30))
        return batch["x"] @ log_odds.T + jnp.sum(log_zero, axis=-1) + log_share

    def log_prob(self, batch: Batch) -> Array:
        """log p(x) in nats: [B]."""
        return jax.nn.logsumexp(self.log_joint(batch), axis=-1)

    def expected_statistics(self, batch: Batch, weights: Array) -> dict[str, Array]:
        """sum_b weights_b P(k | x_b) and sum_b weights_b P(k | x_b) x_b: [K] and [K, D]."""
        posterior = weights[:, None] * jax.nn.softmax(self.log_joint(batch), axis=-1)
        return {"share": jnp.sum(posterior, axis=0), "ones": posterior.T @ batch["x"]}

    def sample(self, rng: Array) -> Array:
        """One exact draw for each key of `rng`: [..., D]."""
        log_share, means = jnp.log(jnp.maximum(self.share, 1e-30)), self.means()

        def draw(key):
            choose, bits = jax.random.split(key)
            component = jax.random.categorical(choose, log_share)
            uniform = jax.random.uniform(bits, (self.data_dim,))
            return (uniform < means[component]).astype(jnp.float32)

        return jax.vmap(draw)(rng.reshape(-1)).reshape(*rng.shape, self.data_dim)


def build(config: ConfigDict, batch: Batch) -> MixtureOfBernoullis:
    """The mixture for batches shaped like `batch`."""
    return MixtureOfBernoullis(batch["x"].shape[-1], config.components, config.smoothing)
