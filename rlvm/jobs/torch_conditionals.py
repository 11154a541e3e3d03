"""The deep DARN and the NADE of the benchmark in PyTorch: same networks, same losses."""

from typing import Any

import torch
from torch import nn

from rlvm.jobs.torch_darn import DrawDARN, log_bernoulli
from rlvm.jobs.torch_step import copy_dense, tensor
from rlvm.types import PyTree


class TorchDeepDARN(nn.Module):
    """Stochastic layers of equal width, each conditional fed by all layers drawn before it."""

    def __init__(self, data_dim: int, depth: int, units: int, tanh: int):
        super().__init__()
        self.depth, self.units = depth, units
        above = range(1, depth)
        self.encoders = nn.ModuleList(
            tanh_layer(data_dim + k * units, tanh, units) for k in range(depth)
        )
        self.priors = nn.ModuleList(
            tanh_layer((depth - k) * units, tanh, units) for k in above
        )  # of layer k - 1, from those above it
        self.visible = tanh_layer(depth * units, tanh, data_dim)
        self.top_bias = nn.Parameter(torch.zeros(units))
        self.kernels = nn.ParameterList(torch.zeros(units, units) for _ in range(depth))

    def noise(self, batch_size: int) -> torch.Tensor:
        """Uniforms of all units."""
        return torch.rand(batch_size, self.depth * self.units)

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Mean description length in nats for the uniforms `noise`."""
        drawn: list[torch.Tensor] = []
        log_q = x.new_zeros(len(x))
        for k, u in enumerate(noise.split(self.units, dim=1)):
            logits = self.encoders[k](torch.cat([*reversed(drawn), x], dim=1))
            drawn.append(DrawDARN.apply(logits, u))
            log_q = log_q + log_bernoulli(drawn[k], logits)
        log_p = log_bernoulli(x, self.visible(torch.cat(drawn, dim=1)))
        for k, h in enumerate(drawn):
            top = k == self.depth - 1
            bias = self.top_bias if top else self.priors[k](torch.cat(drawn[k + 1 :], dim=1))
            log_p = log_p + log_bernoulli(h, bias + h @ torch.triu(self.kernels[k], 1))
        return (log_q - log_p).mean()

    def copy_from(self, params: PyTree) -> None:
        """Take the weights of our deep DARN."""
        pairs: list[tuple[Any, PyTree]]
        pairs = [(self.encoders[k], params[f"encoders_{k}"]) for k in range(self.depth)]
        pairs += [(layer, params[f"priors_{k}"]) for k, layer in enumerate(self.priors)]
        with torch.no_grad():
            for layers, weights in [*pairs, (self.visible, params["visibles"])]:
                copy_dense(layers[0], weights["MLP_0"]["Dense_0"])
                copy_dense(layers[2], weights["Dense_0"])
            self.top_bias.copy_(tensor(params[f"priors_{self.depth - 1}"]["bias"]))
            for k, kernel in enumerate(self.kernels):
                kernel.copy_(tensor(params[f"priors_{k}"]["AutoregressiveKernel_0"]["kernel"]))


def tanh_layer(inputs: int, tanh: int, units: int) -> nn.Sequential:
    """inputs -> tanh units -> logits."""
    return nn.Sequential(nn.Linear(inputs, tanh), nn.Tanh(), nn.Linear(tanh, units))


class TorchNADE(nn.Module):
    """NADE, the hidden units of all visibles at once: [B, D, H]."""

    def __init__(self, data_dim: int, hidden: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(data_dim))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.kernel = nn.Parameter(torch.zeros(data_dim, hidden))
        self.readout = nn.Parameter(torch.zeros(data_dim, hidden))

    def noise(self, batch_size: int) -> torch.Tensor:
        """None is used."""
        return torch.empty(batch_size, 0)

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Mean NLL in nats."""
        del noise
        seen = x[..., None] * self.kernel
        hidden = torch.sigmoid(self.hidden_bias + torch.cumsum(seen, dim=1) - seen)
        logits = self.bias + (hidden * self.readout).sum(-1)
        return -log_bernoulli(x, logits).mean()

    def copy_from(self, params: PyTree) -> None:
        """Take the weights of our NADE."""
        with torch.no_grad():
            self.bias.copy_(tensor(params["bias"]))
            self.hidden_bias.copy_(tensor(params["hidden_bias"]))
            self.kernel.copy_(tensor(params["weights"]["kernel"]))
            self.readout.copy_(tensor(params["weights"]["readout"]))
