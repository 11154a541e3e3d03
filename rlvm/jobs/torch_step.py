"""Training steps in PyTorch, as the benchmark takes them beside ours."""

from typing import Any

import numpy as np
import torch
from torch import nn


def tensor(array) -> torch.Tensor:
    """A torch copy of an array."""
    return torch.from_numpy(np.array(array))


def copy_dense(layer: nn.Linear, weights) -> None:
    """Take the kernel and, where there is one, the bias of a Flax Dense."""
    layer.weight.copy_(tensor(weights["kernel"]).T)
    if layer.bias is not None:
        layer.bias.copy_(tensor(weights["bias"]))


class TorchStep:
    """Adam steps of `model(x, noise)` on a data set in memory, drawing rows and noise as ours."""

    def __init__(
        self,
        model: Any,
        x: np.ndarray,
        batch_size: int,
        compiled: bool = False,
        clip_norm: float = 0.0,
    ):
        self.model, self.x, self.batch_size = model, tensor(x), batch_size
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        self.loss = torch.compile(model) if compiled else model
        self.clip_norm = clip_norm

    def __call__(self, count: int) -> float:
        """Take `count` steps; returns the last loss."""
        for _ in range(count):
            rows = torch.randint(len(self.x), (self.batch_size,))
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss(self.x[rows].float(), self.model.noise(self.batch_size))
            loss.backward()
            if self.clip_norm:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
            self.optimizer.step()
        return loss.item()
