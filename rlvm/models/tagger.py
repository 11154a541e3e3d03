"""RTagger: K groups explain one image, each through the same Recurrent Ladder.

In every iteration group k reads [z_k, dz_k, m_k, L(m)_k]: its image z_k, the part of the
prediction error it answers for dz_k = m_k (x~ - z_k), its mask m_k, and the mask's likelihood
L(m)_k = p(x~ | z_k) / sum_j p(x~ | z_j). The bottom of its decoder gives the new z_k and, through a
softmax over groups, the new m_k. The clean x is sum_k m_k N(x; z_k, v), v one learned scalar.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from rlvm.models.distributions import Categorical, Independent, MixtureSameFamily, Normal
from rlvm.models.ladder.iteration import Iteration, recomputed
from rlvm.models.ladder.network import check_frame
from rlvm.models.ladder.table import Layer, Shape, decoder_top, encoder_shapes, parse
from rlvm.nn.normalization import update_statistics
from rlvm.types import Array, Batch, Distribution, PyTree

LOG_VARIANCE = -4.0  # where v starts: 0.02, the error of a denoised texture
INITIAL_MASKS = ("noise", "roles")
ROLES = 2.0  # logits of the first masks lie from here to its negative


class Grouping(nn.Module):
    """One iteration of all groups; they are folded into the batch of one ladder."""

    layers: tuple[Layer, ...]
    frame_shape: Shape
    num_groups: int
    norm: str
    noise: float
    axis_name: str | None

    def setup(self):
        """The shared ladder, the heads of z and m, and log v."""
        self.ladder = Iteration(
            self.layers, ladder_frame(self.frame_shape), self.norm, axis_name=self.axis_name
        )
        self.image = nn.Conv(self.frame_shape[-1], (1, 1))
        self.mask = nn.Conv(1, (1, 1), use_bias=False)
        self.log_variance = self.param("log_variance", nn.initializers.constant(LOG_VARIANCE), ())

    def __call__(self, carry: PyTree, x: Array, examples: Array | None) -> tuple[PyTree, PyTree]:
        """x~ [B, H, W, C]; carry: z [B, K, H, W, C], log m [B, K, H, W, 1], the ladder's own."""
        inputs = self._inputs(x[:, None], carry["z"], carry["log_m"])
        folded = inputs.reshape(-1, *inputs.shape[2:])  # [B K, H, W, 2 C + 2]
        weights = None if examples is None else jnp.repeat(examples, self.num_groups)
        ladder, found = self.ladder(carry["ladder"], folded, weights)
        z = self._groups(self.image(found["frame"]))
        log_m = jax.nn.log_softmax(self._groups(self.mask(found["frame"])), axis=1)
        outputs = {"z": z, "log_m": log_m, "variance": jnp.exp(self.log_variance)[None]}
        if "logits" in found:
            outputs["logits"] = class_logits(self._groups(found["logits"]))
        return {"z": z, "log_m": log_m, "ladder": ladder}, outputs

    def _inputs(self, x: Array, z: Array, log_m: Array) -> Array:
        """[z, m (x~ - z), m, L(m)] of every group: [B, K, H, W, 2 C + 2]."""
        m = jnp.exp(log_m)
        variance = jnp.exp(self.log_variance) + self.noise**2
        log_p = -0.5 * jnp.square(x - z).sum(-1, keepdims=True) / variance
        return jnp.concatenate([z, m * (x - z), m, jax.nn.softmax(log_p, axis=1)], axis=-1)

    def _groups(self, folded: Array) -> Array:
        return folded.reshape(-1, self.num_groups, *folded.shape[1:])


def ladder_frame(frame_shape: Shape) -> Shape:
    """Shape of what one group's ladder reads: z and dz with C channels each, m and L(m)."""
    return (*frame_shape[:2], 2 * frame_shape[2] + 2)


def class_logits(logits: Array) -> Array:
    """log p(class) from the groups' logits [B, K, classes + 1], whose last unit means none.

    p(class) is the sum over groups of their softmax, normalised over the real classes.
    """
    per_group = jax.nn.log_softmax(logits)[..., :-1]
    return jax.nn.log_softmax(jax.nn.logsumexp(per_group, axis=1))


class RTagger(nn.Module):
    """`Grouping` scanned `num_iterations` times over one image.

    Outputs have the axis N of iterations behind the batch: `z` [B, N, K, H, W, C], `log_m`
    [B, N, K, H, W, 1], `variance` [1, N], `logits` [B, N, classes], and `prediction`, in every
    iteration a distribution of x [B, H, W, C].
    """

    layers: tuple[Layer, ...]
    frame_shape: Shape
    num_groups: int = 3
    num_iterations: int = 3
    norm: str = "batch"
    noise: float = 0.2
    data_mean: float = 0.5
    initial_masks: str = "noise"
    keep_convolutions: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, carry: PyTree, batch: Batch, train: bool = False
    ) -> tuple[PyTree, dict[str, PyTree]]:
        """(carry or None for equal masks, batch) -> (carry, outputs)."""
        x = jnp.asarray(batch["x"], jnp.float32)
        if carry is None:
            carry = self._start(jnp.zeros((len(x), self.num_groups, *self.frame_shape[:2], 1)))
        scanned = nn.scan(
            recomputed(Grouping, self.keep_convolutions),
            variable_broadcast=("params",),
            variable_axes={"batch_stats": 0, "moments": 0},
            split_rngs={"params": False},
            in_axes=(nn.broadcast, nn.broadcast),
            out_axes=1,
            length=self.num_iterations,
        )(
            self.layers,
            self.frame_shape,
            self.num_groups,
            self.norm,
            self.noise,
            self.axis_name,
            name="iteration",
        )
        image = x.reshape(-1, *self.frame_shape)
        carry, outputs = scanned(carry, image, batch["mask"] if train else None)
        outputs["prediction"] = mixture(outputs, x.shape[1:])
        return carry, outputs

    def initial_carry(self, rng: Array, batch: Batch) -> PyTree:
        """The carry before the first iteration: z the data's mean, m a softmax over groups.

        Of N(0, 1) noise at every pixel, or, as 'roles', of one number a group, the same everywhere.
        Roles leave the image whole in dz, and which group takes what is not the noise's to decide.
        """
        del batch
        shape = (self.num_groups, *self.frame_shape[:2], 1)
        if self.initial_masks == "roles":
            logits = jnp.linspace(ROLES, -ROLES, self.num_groups).reshape(-1, 1, 1, 1)
            return self._start(jnp.broadcast_to(logits, (len(rng), *shape)))
        return self._start(jax.vmap(lambda key: jax.random.normal(key, shape))(rng))

    def moved_statistics(self, batch_stats: PyTree, moments: PyTree, decay: float) -> PyTree:
        """BatchNorm's running statistics after a training pass that left `moments`."""
        return update_statistics(batch_stats, moments, decay)

    def _start(self, logits: Array) -> PyTree:
        batch_size, frame = len(logits), ladder_frame(self.frame_shape)
        ladder = Iteration(self.layers, frame, self.norm, parent=None)
        z = jnp.full((*logits.shape[:-1], self.frame_shape[-1]), self.data_mean)
        return {
            "z": z,
            "log_m": jax.nn.log_softmax(logits, axis=1),
            "ladder": ladder.initial(batch_size * self.num_groups),
        }


def mixture(outputs: PyTree, event: Shape) -> Distribution:
    """p(x) = prod over pixels of sum_k m_k N(x; z_k, v) in every iteration: batch shape [B, N].

    `event` is the shape of x, [H, W, C] or, for one channel, [H, W].
    """
    z = jnp.moveaxis(outputs["z"], 2, -2)  # [B, N, H, W, K, C]
    log_m = jnp.moveaxis(outputs["log_m"][..., 0], 2, -1)  # [B, N, H, W, K]
    scale = jnp.sqrt(outputs["variance"]).reshape(1, -1, 1, 1, 1, 1) * jnp.ones_like(z)
    if len(event) == 2:
        groups = Normal(z[..., 0], scale[..., 0])
    else:
        groups = Independent(Normal(z, scale), 1)
    return Independent(MixtureSameFamily(Categorical(log_m), groups), 2)


def build(config: ConfigDict, batch: Batch) -> RTagger:
    """The network that `config` (a config's `model`) describes for batches shaped like `batch`."""
    layers = parse(config.layers)
    frame_shape = tuple(config.frame_shape)
    check_frame(frame_shape, batch["x"].shape[1:])
    encoder_shapes(layers, ladder_frame(frame_shape))
    if not decoder_top(layers):
        raise ValueError("An RTagger needs a decoder: no row of model.layers has a decoder cell.")
    initial_masks = config.get("initial_masks", "noise")
    if initial_masks not in INITIAL_MASKS:
        raise ValueError(
            f"No initial masks '{initial_masks}'. There are: {', '.join(INITIAL_MASKS)}."
        )
    return RTagger(
        layers=layers,
        frame_shape=frame_shape,
        num_groups=config.num_groups,
        num_iterations=config.num_iterations,
        norm=config.norm,
        noise=config.noise,
        data_mean=config.data_mean,
        initial_masks=initial_masks,
        keep_convolutions=config.get("keep_convolutions", False),
    )
