"""One iteration of the Recurrent Ladder: bottom-up, then top-down.

s_l(t), e_l(t) = f_l(e_{l-1}(t), d_l(t-1), s_l(t-1))
d_{l-1}(t) = g_l(e_{l-1}(t), d_l(t))
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from rlvm.models.ladder.table import (
    RECURRENT,
    Layer,
    Shape,
    decoder_shapes,
    decoder_top,
    encoder_shapes,
)
from rlvm.nn.conv_lstm import LSTM, ConvLSTM
from rlvm.nn.convolution import CONVOLVED
from rlvm.nn.gates import G1, ConvG1, ConvG2, ConvG3
from rlvm.nn.normalization import BatchNorm
from rlvm.nn.pyramid import Down, pool, unpool
from rlvm.types import Array, PyTree

NO_CELL = ("Identity", "Unpool")  # rows whose d is no new function of the encoder


class Iteration(nn.Module):
    """(carry, x) -> (carry, {"logits": [B, classes], "frame": d_0}) for one frame or iteration.

    The carry holds the states s_l and those decoder outputs that the next iteration reads:
    d_l(t-1) into the recurrent layer of the same level (`decoder_to_encoder`), d_{l-1}(t-1) into
    the recurrent layer above (`diagonal`) and d_l(t-1) into the cell that makes d_l(t)
    (`recurrent_decoder`); the last two are appendix C's dotted connections.
    """

    layers: tuple[Layer, ...]
    frame_shape: Shape
    norm: str = "layer"
    decoder_to_encoder: bool = True
    diagonal: bool = False
    recurrent_decoder: bool = False
    axis_name: str | None = None

    def initial(self, batch_size: int) -> PyTree:
        """The carry before the first iteration: zeros."""
        shapes = encoder_shapes(self.layers, self.frame_shape)
        signal = decoder_shapes(self.layers, shapes)
        state = {
            str(level): tuple(jnp.zeros((batch_size, *shapes[level])) for _ in "cs")
            for level, layer in enumerate(self.layers, 1)
            if layer.encoder in RECURRENT
        }
        decoded = {str(k): jnp.zeros((batch_size, *signal[k])) for k in self._remembered()}
        return {"state": state, "decoded": decoded}

    def _remembered(self) -> list[int]:
        """Levels whose decoder output the next iteration reads."""
        top = decoder_top(self.layers)
        levels = set()
        for level, layer in enumerate(self.layers[:top], 1):
            if layer.encoder in RECURRENT:
                levels |= {level} if self.decoder_to_encoder else set()
                levels |= {level - 1} if self.diagonal else set()
            if self.recurrent_decoder and layer.decoder not in NO_CELL:
                levels.add(level - 1)
        return sorted(level for level in levels if level < top)

    @nn.compact
    def __call__(self, carry: PyTree, x: Array, examples: Array | None) -> tuple[PyTree, PyTree]:
        """x [B, H, W, C]; `examples` [B] weighs a training batch, None in evaluation."""
        encoded, state, outputs = self._encode(carry, x, examples)
        decoded = self._decode(carry, encoded, examples)
        if decoded:
            outputs["frame"] = decoded[0]
        remembered = {str(level): decoded[level] for level in self._remembered()}
        return {"state": state, "decoded": remembered}, outputs

    def _encode(self, carry: PyTree, x: Array, examples: Array | None):
        encoded, state, outputs = [x], {}, {}
        for level, layer in enumerate(self.layers, 1):
            below = encoded[-1]
            if layer.encoder in RECURRENT:
                c, s = self._recurrent(level, layer, carry, below, examples)
                state[str(level)] = (c, s)
                encoded.append(s)
            elif layer.encoder == "SoftMax":
                outputs["logits"] = self._dense(level, layer, below)
                encoded.append(jax.nn.softmax(outputs["logits"]))
            else:
                encoded.append(self._feed_forward(level, layer, below, examples))
        return encoded, state, outputs

    def _recurrent(self, level: int, layer: Layer, carry: PyTree, below: Array, examples):
        decoded, name = carry["decoded"], f"encoder_{level}"
        inputs = [below, *_present(decoded, level - 1, self.diagonal)]
        lateral = _present(decoded, level, self.decoder_to_encoder)
        cell: nn.Module
        if layer.encoder == "LSTM":
            cell = LSTM(layer.channels, self.norm, self.axis_name, name=name)
        else:
            cell = ConvLSTM(
                layer.channels, layer.filter, layer.stride, self.norm, self.axis_name, name=name
            )
        return cell(carry["state"][str(level)], inputs, lateral, examples)

    def _feed_forward(self, level: int, layer: Layer, below: Array, examples) -> Array:
        if layer.encoder == "Conv":
            conv = Down(layer.channels, layer.filter, layer.stride, name=f"encoder_{level}")
            norm = BatchNorm(self.axis_name, name=f"encoder_{level}_BN")
            return nn.relu(norm(conv(below), examples))
        if layer.encoder == "FC":
            return self._dense(level, layer, below)
        return pool(below, layer.encoder, layer.filter, layer.stride)

    def _dense(self, level: int, layer: Layer, below: Array) -> Array:
        flat = below.reshape(len(below), -1)
        if not layer.channels:
            return flat
        return nn.Dense(layer.channels, name=f"encoder_{level}")(flat)

    def _decode(self, carry: PyTree, encoded: list[Array], examples) -> dict[int, Array]:
        top = decoder_top(self.layers)
        signal = {top: encoded[top]} if top else {}
        for level in range(top - 1, -1, -1):
            layer, above, h = self.layers[level], signal[level + 1], encoded[level]
            past = _present(carry["decoded"], level, self.recurrent_decoder)
            if layer.decoder == "Identity":
                signal[level] = above
            elif layer.decoder == "Unpool":
                below = above.reshape(len(h), *encoded[level + 1].shape[1:-1], above.shape[-1])
                signal[level] = unpool(below, h.shape[1:3], layer.window)
            else:
                signal[level] = self._cell(level, layer)(above, h, past, examples)
        return signal

    def _cell(self, level: int, layer: Layer) -> nn.Module:
        name, size, stride = f"decoder_{level}", layer.decoder_filter, layer.stride or 1
        if layer.decoder == "G1":
            return G1(self.norm, self.axis_name, name=name)
        if layer.decoder == "ConvG1":
            return ConvG1(size, stride, self.norm, self.axis_name, name=name)
        if layer.decoder == "ConvG2":
            return ConvG2(size, stride, self.norm, self.axis_name, name=name)
        hidden = layer.channels or encoder_shapes(self.layers, self.frame_shape)[level][-1]
        return ConvG3(size, hidden, stride, self.norm, self.axis_name, name=name)


def recomputed(module: type[nn.Module], keep_convolutions: bool) -> type[nn.Module]:
    """`module`, run again for its gradient; its convolutions are not where their outputs are kept.

    Keeping them pays where frames or iterations are few. What a long scan keeps goes to memory: on
    CPU 50 frames of table 8 are quicker without, 5 frames of table 5 with them.
    """
    policy = jax.checkpoint_policies.save_only_these_names(CONVOLVED) if keep_convolutions else None
    return nn.remat(module, prevent_cse=False, policy=policy)


def _present(decoded: PyTree, level: int, connected: bool) -> tuple[Array, ...]:
    """The remembered d of that level, if this connection exists and the level has one."""
    return (decoded[str(level)],) if connected and str(level) in decoded else ()
