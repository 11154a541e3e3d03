"""Fully visible sigmoid belief network: the autoregressive Bernoulli without latents."""

import flax.linen as nn
from ml_collections import ConfigDict

from rlvm.models.autoregressive import AutoregressiveBernoulli
from rlvm.nn.masked import AutoregressiveKernel
from rlvm.types import Array, Batch


class FVSBN(nn.Module):
    """log p(x) = sum_j log Bernoulli(x_j; sigmoid(b_j + sum_{i<j} x_i W[i, j]))."""

    data_dim: int

    def setup(self):
        """Bias and triangular kernel, both zero at the start: a convex problem."""
        self.bias = self.param("bias", nn.initializers.zeros, (self.data_dim,))
        self.kernel = AutoregressiveKernel(self.data_dim)

    def __call__(self, batch: Batch) -> Array:
        """The entry for `init`."""
        return self.log_prob(batch)

    def distribution(self) -> AutoregressiveBernoulli:
        """p(x)."""
        return AutoregressiveBernoulli(self.bias, self.kernel())

    def log_prob(self, batch: Batch) -> Array:
        """log p(x) in nats: [B]."""
        return self.distribution().log_prob(batch["x"])

    def sample(self, rng: Array) -> Array:
        """One exact draw for each key of `rng`: [..., D]."""
        return self.distribution().sample(rng)


def build(config: ConfigDict, batch: Batch) -> FVSBN:
    """The network for batches shaped like `batch`."""
    del config
    return FVSBN(data_dim=batch["x"].shape[-1])
