"""The DARN of the benchmark in PyTorch: same network, same loss, same optimizer."""

import torch
from torch import nn

from rlvm.jobs.torch_step import copy_dense, tensor
from rlvm.types import PyTree


class DrawDARN(torch.autograd.Function):
    """Eq. 24: h = 1[u < q], and (1 - q(h)) / 2 times the gradient on the way back."""

    @staticmethod
    def forward(ctx, logits, noise):
        """Draw h and keep the scale of its gradient."""
        q = torch.sigmoid(logits)
        h = (noise < q).to(logits.dtype)
        ctx.save_for_backward(torch.where(h > 0, 1 - q, q) / 2)
        return h

    @staticmethod
    def backward(ctx, gradient):
        """Scale the gradient."""
        (scale,) = ctx.saved_tensors
        return gradient * scale, None


class TorchDARN(nn.Module):
    """One stochastic and one tanh layer on either side, independent visibles."""

    def __init__(self, data_dim: int, stochastic: int, deterministic: int):
        super().__init__()
        self.encode = nn.Linear(data_dim, deterministic)
        self.logits = nn.Linear(deterministic, stochastic)
        self.prior_bias = nn.Parameter(torch.zeros(stochastic))
        self.prior_kernel = nn.Parameter(torch.zeros(stochastic, stochastic))
        self.decode = nn.Linear(stochastic, deterministic)
        self.visible = nn.Linear(deterministic, data_dim)

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Mean description length in nats for the uniforms `noise`."""
        posterior = self.logits(torch.tanh(self.encode(x)))
        h = DrawDARN.apply(posterior, noise)
        prior = self.prior_bias + h @ torch.triu(self.prior_kernel, 1)
        visible = self.visible(torch.tanh(self.decode(h)))
        length = log_bernoulli(h, posterior) - log_bernoulli(h, prior) - log_bernoulli(x, visible)
        return length.mean()

    def noise(self, batch_size: int) -> torch.Tensor:
        """The uniforms of a batch."""
        return torch.rand(batch_size, self.prior_bias.numel())

    def copy_from(self, params: PyTree) -> None:
        """Take the weights of our DARN."""
        encoder, prior, visible = (params[k] for k in ("encoders_0", "priors_0", "visibles"))
        pairs = [
            (self.encode, encoder["MLP_0"]["Dense_0"]),
            (self.logits, encoder["Dense_0"]),
            (self.decode, visible["MLP_0"]["Dense_0"]),
            (self.visible, visible["Dense_0"]),
        ]
        with torch.no_grad():
            for layer, weights in pairs:
                copy_dense(layer, weights)
            self.prior_bias.copy_(tensor(prior["bias"]))
            self.prior_kernel.copy_(tensor(prior["AutoregressiveKernel_0"]["kernel"]))


def log_bernoulli(value: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Log probability, summed over units."""
    return (value * logits - nn.functional.softplus(logits)).sum(-1)
