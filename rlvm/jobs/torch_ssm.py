"""The state-space model of the benchmark in PyTorch: appendix D.2 of "Mind the Gap".

`nn.GRU` makes the features of whole sequences; a Python loop runs only where z_t needs z_{t-1}.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from rlvm.jobs.torch_step import copy_dense, tensor
from rlvm.nn.flows import autoregressive_masks
from rlvm.types import PyTree

ACTIVATIONS = {
    "softsign": F.softsign,
    "softplus": F.softplus,
    "relu": F.relu,
    "tanh": torch.tanh,
}


def positive(raw: torch.Tensor, start: float) -> torch.Tensor:
    """A softplus that is `start` at raw = 0, and never below 1e-4."""
    return F.softplus(raw + start + math.log(-math.expm1(-start))) + 1e-4


class Layers(nn.Module):
    """Linear layers, the last without an activation."""

    def __init__(self, widths: Sequence[int], activations: Sequence[str]):
        super().__init__()
        self.linears: Any = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.activations = [ACTIVATIONS[name] for name in activations]

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """[..., widths[0]] -> [..., widths[-1]]."""
        for linear, activation in zip(self.linears, self.activations, strict=False):
            h = activation(linear(h))
        return self.linears[-1](h)


class Flow(nn.Module):
    """One inverse autoregressive flow, forward."""

    def __init__(self, dim: int, sizes: Sequence[int], backward: bool):
        super().__init__()
        masks = autoregressive_masks(dim, sizes, backward)
        self.linears: Any = nn.ModuleList(nn.Linear(*mask.shape) for mask in masks)
        self.masks = [tensor(mask.T.astype("float32")) for mask in masks]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """exp(a(x)) x + m(x)."""
        h = x
        for k, (linear, mask) in enumerate(zip(self.linears, self.masks, strict=True)):
            h = F.linear(h, linear.weight * mask, linear.bias)
            h = F.relu(h) if k + 1 < len(self.masks) else h
        shift, raw = h.chunk(2, dim=-1)
        return x * torch.exp(2.0 * torch.tanh(raw / 2.0)) + shift


class TorchSSM(nn.Module):
    """The fully conditioned model of `ssm/row_mnist:paper_full`, with Bernoulli emissions."""

    def __init__(self, config, data_dim: int, num_timesteps: int):
        super().__init__()
        dim, hidden = config.state_dim, config.features.size
        self.dim, self.steps = dim, num_timesteps
        self.gain, self.scale = 0.5, config.initial_scale
        self.gru = nn.GRU(2 * data_dim, hidden, bidirectional=True)
        initial, rest, move = config.inverse_initial, config.inverse_residual, config.transition
        self.initial = Layers((2 * hidden, *initial.sizes, 2 * dim), initial.activations)
        self.from_features = nn.Linear(2 * hidden, rest.sizes[0])
        self.from_mean = nn.Linear(dim, rest.sizes[0], bias=False)
        self.first_activation = ACTIVATIONS[rest.activations[0]]
        self.rest = Layers((*rest.sizes, 2 * dim), rest.activations[1:])
        self.from_state = nn.Linear(dim, move.sizes[0] + 2 * dim)
        self.splits = (move.sizes[0], dim, dim)
        self.move_activation = ACTIVATIONS[move.activations[0]]
        self.move = Layers((*move.sizes, dim), move.activations[1:])
        self.emission = Layers((dim, *config.emission.sizes, data_dim), config.emission.activations)
        self.flows: Any = nn.ModuleList(
            Flow(dim, config.flow.sizes, bool(k % 2)) for k in range(config.flow.num_flows)
        )

    def noise(self, batch_size: int) -> torch.Tensor:
        """Standard normal draws for a batch: [B, T, Z]."""
        return torch.randn(batch_size, self.steps, self.dim)

    def transition(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(F, G) at z, highway."""
        f, gate, raw_gain = self.from_state(z).split(self.splits, dim=-1)
        f = self.move(self.move_activation(f))
        return z + torch.sigmoid(gate) * (f - z), positive(raw_gain, self.gain)

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Mean description length of x [B, T, D] in nats for the noise [B, T, Z]."""
        inputs = torch.cat([x, torch.ones_like(x)], dim=-1).transpose(0, 1)
        features, _ = self.gru(inputs)  # [T, B, 2 H]
        mean, raw = self.initial(features[0]).chunk(2, dim=-1)
        means, scales = [mean], [positive(raw, self.scale)]
        z = means[0] + scales[0] * noise[:, 0]
        for flow in self.flows:
            z = flow(z)
        states, projected = [z], self.from_features(features[1:])
        for t in range(1, x.shape[1]):
            f, gain = self.transition(z)
            h = self.first_activation(projected[t - 1] + self.from_mean(f))
            mean, raw = self.rest(h).chunk(2, dim=-1)
            means.append(mean)
            scales.append(positive(raw, self.scale))
            z = f + gain * (mean + scales[-1] * noise[:, t])
            states.append(z)
        mean, scale = torch.stack(means, 1), torch.stack(scales, 1)
        rate = (0.5 * (mean**2 + scale**2 - 1.0) - torch.log(scale)).sum((1, 2))
        logits = self.emission(torch.stack(states, 1))
        distortion = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2))
        return (distortion + rate).mean()

    def copy_from(self, params: PyTree) -> None:
        """Take the weights of our model."""
        inverse, move, emit = (params[name] for name in ("inverse", "dynamics", "emissions"))
        with torch.no_grad():
            copy_gru(self.gru, inverse["sequence_features"])
            copy_layers(self.initial, inverse["first"], "from_features", "heads")
            copy_dense(self.from_features, inverse["rest"]["from_features"])
            copy_dense(self.from_mean, inverse["rest"]["from_state"])
            copy_layers(self.rest, inverse["rest"], last="heads")
            copy_dense(self.from_state, move["from_state"])
            copy_layers(self.move, move, last="out")
            copy_layers(self.emission, {"rest": emit["hidden"], **emit}, last="heads")
            for k, flow in enumerate(self.flows):
                weights = params["flows"][f"flows_{k}"]
                for n, linear in enumerate(flow.linears):
                    copy_dense(linear, weights[f"layers_{n}"])


def copy_layers(layers: Layers, weights: PyTree, first: str = "", last: str = "") -> None:
    """Take a network's layers: `first`, where named, those of its FeedForward `rest`, `last`."""
    inner = weights.get("rest", {})
    parts = [weights[first]] if first else []
    parts += [inner[f"layers_{k}"] for k in range(len(inner))] + [weights[last]]
    for linear, part in zip(layers.linears, parts, strict=True):
        copy_dense(linear, part)


def copy_gru(gru: nn.GRU, weights: PyTree) -> None:
    """Take both directions of our GRU, whose gates have no bias of their own on the state."""
    for k, suffix in enumerate(("", "_reverse")):
        ours = weights[f"layers_0_{k}"]
        getattr(gru, f"weight_ih_l0{suffix}").copy_(tensor(ours["from_input"]["kernel"]).T)
        getattr(gru, f"bias_ih_l0{suffix}").copy_(tensor(ours["from_input"]["bias"]))
        getattr(gru, f"weight_hh_l0{suffix}").copy_(tensor(ours["recurrent"]).T)
        bias = getattr(gru, f"bias_hh_l0{suffix}")
        bias.zero_()
        bias[-gru.hidden_size :].copy_(tensor(ours["recurrent_bias"]))
