"""The one module that imports distrax: what rlvm uses of it, and what it lacks."""

from distrax import (
    Bernoulli,
    Bijector,
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormalDiag,
    Normal,
    Transformed,
)

from rlvm.types import Array

__all__ = [
    "Bernoulli",
    "Categorical",
    "Flow",
    "Independent",
    "MixtureSameFamily",
    "MultivariateNormalDiag",
    "Normal",
    "Transformed",
]


class Flow(Bijector):
    """The bijector over vectors that a module with both directions defines."""

    def __init__(self, module):
        super().__init__(event_ndims_in=1)
        self._module = module

    def forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        """(y, log |dy/dx|)."""
        return self._module.forward_and_log_det(x)

    def inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        """(x, log |dx/dy|)."""
        return self._module.inverse_and_log_det(y)
