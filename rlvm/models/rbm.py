"""Restricted Boltzmann machine, the second baseline of tables 1 and 2."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.types import Array, Batch


class RBM(nn.Module):
    """p(x) = exp(-F(x)) / Z, F(x) = -b x - sum_j softplus(c_j + x W_j).

    Z is not a parameter: `log_z` in the collection `partition` holds an estimate of log Z, which
    whoever loads or validates the model refreshes by annealed importance sampling; `log_prob` is
    an estimate through it. The persistent chains are in the collection `chains`.
    """

    data_dim: int
    hidden_units: int
    num_chains: int
    sample_steps: int = 1000

    def setup(self):
        """Biases at zero, small weights, chains of fair coins."""
        self.bias = self.param("bias", nn.initializers.zeros, (self.data_dim,))
        self.hidden_bias = self.param("hidden_bias", nn.initializers.zeros, (self.hidden_units,))
        self.kernel = self.param(
            "kernel", nn.initializers.normal(0.01), (self.data_dim, self.hidden_units)
        )
        coins = jax.random.bernoulli(jax.random.key(0), 0.5, (self.num_chains, self.data_dim))
        self.chains = self.variable("chains", "x", lambda: coins.astype(jnp.float32))
        self.log_z = self.variable("partition", "log_z", lambda: jnp.zeros(()))

    def __call__(self, batch: Batch) -> Array:
        """The entry for `init`."""
        return self.log_prob(batch)

    def log_prob(self, batch: Batch) -> Array:
        """-F(x) - the stored estimate of log Z, in nats: [B]."""
        return -self.free_energy(batch["x"]) - self.log_z.value

    def free_energy(self, x: Array, beta: Array | float = 1.0) -> Array:
        """-b x - sum_j softplus(beta (c_j + x W_j)): [...]."""
        hidden = beta * (self.hidden_bias + x @ self.kernel)
        return -x @ self.bias - jnp.sum(jax.nn.softplus(hidden), axis=-1)

    def transition(self, x: Array, rng: Array, beta: Array | float = 1.0) -> Array:
        """Hidden units given x, then x given them: [..., D]."""
        up, down = jax.random.split(rng)
        hidden = jax.nn.sigmoid(beta * (self.hidden_bias + x @ self.kernel))
        h = (jax.random.uniform(up, hidden.shape) < hidden).astype(x.dtype)
        visible = jax.nn.sigmoid(self.bias + beta * (h @ self.kernel.T))
        return (jax.random.uniform(down, visible.shape) < visible).astype(x.dtype)

    def base(self, rng: Array, count: int) -> tuple[Array, Array]:
        """Independent units with the model's biases, and log Z_0 = sum softplus(b) + H log 2."""
        uniform = jax.random.uniform(rng, (count, self.data_dim))
        log_z = jnp.sum(jax.nn.softplus(self.bias)) + self.hidden_units * jnp.log(2.0)
        return (uniform < jax.nn.sigmoid(self.bias)).astype(jnp.float32), log_z

    def sample(self, rng: Array) -> Array:
        """Ends of Gibbs chains of `sample_steps` steps, one for each key: not exact draws."""

        def chain(key):
            start, moves = jax.random.split(key)
            x = self.base(start, 1)[0][0]
            keys = jax.random.split(moves, self.sample_steps)
            return jax.lax.scan(lambda x, k: (self.transition(x, k), None), x, keys)[0]

        return jax.vmap(chain)(rng.reshape(-1)).reshape(*rng.shape, self.data_dim)


def build(config: ConfigDict, batch: Batch) -> RBM:
    """The machine for batches shaped like `batch`."""
    return RBM(batch["x"].shape[-1], config.hidden_units, config.num_chains, config.sample_steps)
