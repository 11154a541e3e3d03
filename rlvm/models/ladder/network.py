"""The Recurrent Ladder network: `Iteration` scanned over frames or over one input."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from rlvm.models.autoregressive import AutoregressiveBernoulli
from rlvm.models.distributions import Bernoulli, Independent, Normal
from rlvm.models.ladder.iteration import Iteration, recomputed
from rlvm.models.ladder.table import Layer, Shape, encoder_shapes, parse
from rlvm.nn.masked import AutoregressiveKernel
from rlvm.nn.normalization import update_statistics
from rlvm.types import Array, Batch, Distribution, PyTree

OBSERVATIONS = ("gaussian", "bernoulli", "keys", "chords")


class RLadder(nn.Module):
    """A ladder unrolled over the frames of x [B, T, ...], or `num_iterations` times on x [B, ...].

    Outputs carry the axis T of frames or iterations behind the batch: `logits` [B, T, classes] of
    the SoftMax row, and `prediction`, what the bottom of the decoder says about the next frame or
    the clean input: 'gaussian' (d_0 is the mean, variance 1), 'bernoulli' (d_0 are the logits),
    'keys' (a dense map from d_0 to one logit a key, for table 8) or 'chords' (the same, and each
    key also sees the lower ones of its frame, through DARN's triangular kernel). With `segment` the
    backward pass over T frames keeps T / segment + segment carries in place of T, for one more
    forward pass; with `keep_convolutions` it does no convolution of the forward pass again.
    """

    layers: tuple[Layer, ...]
    frame_shape: Shape
    num_iterations: int | None = None
    observation: str = "gaussian"
    norm: str = "layer"
    decoder_to_encoder: bool = True
    diagonal: bool = False
    recurrent_decoder: bool = False
    segment: int = 0
    keep_convolutions: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, carry: PyTree, batch: Batch, train: bool = False
    ) -> tuple[PyTree, dict[str, PyTree]]:
        """(carry or None, batch) -> (carry, outputs); `train` normalises by the batch's moments."""
        x = jnp.asarray(batch["x"], jnp.float32)
        frames = x.reshape(*self._lead(x), *self.frame_shape)
        examples = self._examples(batch, frames) if train else None
        segment = self.segment if train else 0  # without a gradient nothing is kept
        scanned = self._scanned(levels=2 if segment else 1)(**self._options(), name="iteration")
        if carry is None:
            carry = scanned.initial(len(x))
        carry, outputs = scanned(carry, *in_segments((frames, examples), segment))
        if segment:
            outputs = jax.tree.map(lambda y: y.reshape(len(x), -1, *y.shape[3:]), outputs)
        if "frame" in outputs:
            outputs["prediction"] = self._observed(outputs.pop("frame"), x)
        return carry, outputs

    def initial_carry(self, rng: Array, batch: Batch) -> PyTree:
        """The carry before the first frame or iteration: zeros, whatever the noise."""
        del rng
        return Iteration(**self._options(), parent=None).initial(len(batch["x"]))

    def moved_statistics(self, batch_stats: PyTree, moments: PyTree, decay: float) -> PyTree:
        """BatchNorm's running statistics after a training pass that left `moments`."""
        if self.segment:  # [segments, frames of one, C]
            moments = jax.tree.map(lambda m: m.reshape(-1, *m.shape[2:]), moments)
        return update_statistics(batch_stats, moments, decay)

    def _options(self) -> dict[str, PyTree]:
        """What an iteration is made of."""
        connections = ("decoder_to_encoder", "diagonal", "recurrent_decoder")
        names = ("layers", "frame_shape", "norm", *connections, "axis_name")
        return {name: getattr(self, name) for name in names}

    def _lead(self, x: Array) -> tuple[int, ...]:
        """Axes in front of a frame: [B, T], or [B] for a static input."""
        return x.shape[:2] if self.num_iterations is None else x.shape[:1]

    def _scanned(self, levels: int):
        """`Iteration` under nn.scan: statistics per iteration, or shared over frames.

        With two `levels` a scan over segments runs the scan over the frames of each.

        The gradient keeps each frame's carry, with `keep_convolutions` its convolutions' outputs
        too, and computes the rest again.
        """
        static = self.num_iterations is not None
        over_frames = nn.broadcast if static else 1
        scanned: Any = Iteration
        for level in range(levels):
            scanned = nn.scan(
                recomputed(scanned, self.keep_convolutions and level == 0),
                variable_broadcast=("params",) if static else ("params", "batch_stats"),
                variable_axes={"batch_stats": 0, "moments": 0} if static else {"moments": 0},
                split_rngs={"params": False},
                in_axes=(over_frames, over_frames),
                out_axes=1,
                length=self.num_iterations,
            )
        return scanned

    def _examples(self, batch: Batch, frames: Array) -> Array:
        """Weight of each example's frame in BatchNorm: [B], or [B, T] with the ends masked."""
        mask = batch["mask"]
        if self.num_iterations is not None:
            return mask
        return mask[:, None] * frame_mask(batch, frames.shape[1])

    def _observed(self, frame: Array, x: Array) -> Distribution | AutoregressiveBernoulli:
        lead = frame.shape[:2]
        event = x.shape[len(self._lead(x)) :]
        if self.observation in ("keys", "chords"):
            flat = frame.reshape(*lead, -1)
            frame = nn.Dense(flat.shape[-1], name="keys")(flat)
        if self.observation == "chords":
            kernel = AutoregressiveKernel(frame.shape[-1], name="chords")()
            return AutoregressiveBernoulli(frame, kernel)
        frame = frame.reshape(*lead, *event)
        if self.observation == "gaussian":
            return Independent(Normal(frame, jnp.ones_like(frame)), len(event))
        return Independent(Bernoulli(frame), len(event))


def frame_mask(batch: Batch, num_frames: int) -> Array:
    """1.0 for the frames within each sequence's length: [B, T]."""
    if "lengths" not in batch:
        return jnp.ones((len(batch["mask"]), num_frames))
    return (jnp.arange(num_frames) < batch["lengths"][:, None]).astype(jnp.float32)


def build(config: ConfigDict, batch: Batch) -> RLadder:
    """The network that `config` (a config's `model`) describes for batches shaped like `batch`."""
    layers = parse(config.layers)
    static = config.num_iterations > 0  # 0: one iteration a frame
    frame_shape = tuple(config.frame_shape)
    check_frame(frame_shape, batch["x"].shape[1 if static else 2 :])
    if config.observation not in OBSERVATIONS:
        raise ValueError(
            f"No observation '{config.observation}'. Observations: {', '.join(OBSERVATIONS)}."
        )
    encoder_shapes(layers, frame_shape)  # a size the pyramid cannot take is told here
    return RLadder(
        layers=layers,
        frame_shape=frame_shape,
        num_iterations=config.num_iterations or None,
        observation=config.observation,
        norm=config.norm,
        decoder_to_encoder=config.decoder_to_encoder,
        diagonal=config.diagonal,
        recurrent_decoder=config.recurrent_decoder,
        segment=config.get("segment", 0),
        keep_convolutions=config.get("keep_convolutions", False),
    )


def in_segments(over_frames: PyTree, segment: int) -> PyTree:
    """Leaves [B, T, ...] cut into segments of L frames: [B, T / L, L, ...]; 0 leaves them whole."""
    if not segment:
        return over_frames

    def cut(leaf: Array) -> Array:
        if leaf.shape[1] % segment:
            raise ValueError(
                f"model.segment={segment} does not divide the {leaf.shape[1]} frames of a sequence "
                "(objective.window cuts them)."
            )
        return leaf.reshape(len(leaf), -1, segment, *leaf.shape[2:])

    return jax.tree.map(cut, over_frames)


def check_frame(frame_shape: Shape, got: Shape) -> None:
    """Refuse a batch whose frames cannot be read as `frame_shape`."""
    if math.prod(frame_shape) != math.prod(got):
        raise ValueError(
            f"The frames of the data have shape {got}; model.frame_shape is {frame_shape}."
        )
