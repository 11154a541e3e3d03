"""Layer and batch normalisation for cells that run under `nn.scan` (ladder appendix A.4).

Both are called as ``norm(x, examples)``. `examples` [B] weighs the examples of a training batch
(0.0 for padding and for frames past a sequence's end); None means evaluation. LayerNorm ignores it.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import traverse_util

from rlvm.nn.sums import columns, layer_means, spread
from rlvm.types import Array, PyTree


class LayerNorm(nn.Module):
    """Normalise over ALL units of an example's layer (space and channels), scale per channel.

    Over all units, as in its definition, because the bottom cell of table 8 has a single channel:
    normalised over channels alone it would be constant.
    """

    gain: float = 1.0
    groups: int = 1
    shift: bool = False
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Array, examples: Array | None = None) -> Array:
        """x [B, ..., C] -> [B, ..., C], each of `groups` of channels a layer of its own."""
        scale = self.param("scale", nn.initializers.constant(self.gain), x.shape[-1:])
        layers = x.reshape(len(x), -1, self.groups, x.shape[-1] // self.groups)
        y = spread(scale, x.shape) * standardized(layers, self.epsilon).reshape(x.shape)
        if self.shift:
            y += spread(self.param("bias", nn.initializers.zeros, x.shape[-1:]), x.shape)
        return y


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def standardized(x: Array, epsilon: float) -> Array:
    """(x - mean) / sqrt(variance + epsilon) of x [B, P, G, C], moments over places and channels.

    The gradient is its own, r (g - mean(g) - y mean(g y)) with y the result and r what scales it:
    x is all that it keeps of x's size.
    """
    return _standardized(x, epsilon)[0]


def _standardized(x: Array, epsilon: float):
    mean = layer_means(x)
    r = jax.lax.rsqrt(layer_means(jnp.square(x - mean)) + epsilon)
    return (x - mean) * r, (x, mean, r)


def _standardized_back(epsilon: float, kept: tuple[Array, Array, Array], g: Array):
    del epsilon
    x, mean, r = kept
    y = (x - mean) * r
    return (r * (g - layer_means(g) - y * layer_means(g * y)),)


standardized.defvjp(_standardized, _standardized_back)


class BatchNorm(nn.Module):
    """Batch normalisation whose running statistics are updated outside the scan.

    In training, the batch's own moments normalise and are left in the collection ``moments``;
    `update_statistics` folds them into ``batch_stats`` afterwards. `axis_name` is for pmap only.
    """

    axis_name: str | None = None
    gain: float = 1.0
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Array, examples: Array | None = None) -> Array:
        """x [B, ..., C] -> [B, ..., C]."""
        features = x.shape[-1:]
        scale = self.param("scale", nn.initializers.constant(self.gain), features)
        bias = self.param("bias", nn.initializers.zeros, features)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        running_var = self.variable("batch_stats", "var", jnp.ones, features)
        if examples is None:
            mean, var = running_mean.value, running_var.value
        else:
            count, mean, var = batch_moments(x, examples, self.axis_name)
            for name, value in (("count", count), ("mean", mean), ("var", var)):
                self.put_variable("moments", name, value)
        gain = spread(scale * jax.lax.rsqrt(var + self.epsilon), x.shape)
        return (x - spread(mean, x.shape)) * gain + spread(bias, x.shape)


def batch_moments(x: Array, examples: Array, axis_name: str | None) -> tuple[Array, Array, Array]:
    """Weighted (count [], mean [C], variance [C]) of x [B, ..., C] over all but the last axis."""
    weights = examples.reshape(-1, *[1] * (x.ndim - 1))
    places = x[0, ..., 0].size

    def total(value: Array) -> Array:
        return value if axis_name is None else jax.lax.psum(value, axis_name)

    count = total(examples.sum())
    divisor = jnp.maximum(count, 1.0) * places
    mean = total(columns(weights * x)) / divisor
    var = total(columns(weights * jnp.square(x - spread(mean, x.shape)))) / divisor
    return count, mean, var


def update_statistics(batch_stats: PyTree, moments: PyTree, decay: float) -> PyTree:
    """Fold one training batch's `moments` [T, C] into the running `batch_stats`.

    Statistics [T, C] are per iteration (static data) and move elementwise; statistics [C] are
    shared over frames and move once, by the mean over frames weighted with their example counts.
    """
    moments = traverse_util.flatten_dict(moments)
    return traverse_util.unflatten_dict(
        {
            path: _moved(old, moments[path], moments[(*path[:-1], "count")], decay)
            for path, old in traverse_util.flatten_dict(batch_stats).items()
        }
    )


def _moved(old: Array, moment: Array, count: Array, decay: float) -> Array:
    weights = count[:, None]  # [T, 1]
    if moment.ndim == old.ndim:
        new = jnp.where(weights > 0, moment, old)
    else:
        total = weights.sum()
        new = jnp.where(total > 0, (weights * moment).sum(0) / jnp.maximum(total, 1.0), old)
    return decay * old + (1.0 - decay) * new


def normalization(
    kind: str,
    axis_name: str | None,
    name: str,
    gain: float = 1.0,
    groups: int = 1,
    shift: bool = False,
) -> nn.Module:
    """The normalisation module of that kind: 'layer' or 'batch'; `gain` is its scale at first.

    Batch normalisation always has a shift, layer normalisation where asked.
    """
    if kind == "layer":
        return LayerNorm(gain, groups, shift, name=name)
    if kind == "batch":
        return BatchNorm(axis_name, gain, name=name)
    raise ValueError(f"No normalization '{kind}'. Normalizations: layer, batch.")
