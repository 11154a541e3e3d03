"""The Recurrent Ladder of the benchmark in PyTorch: the same tables, costs and layer normalisation.

Maps are [B, C, H, W] in channels_last order, as oneDNN likes them. Parameters have the names that
Flax gives them and are stored as there; `prepared` turns kernels round once a step.
"""

import math
from typing import Any

import torch
from flax import traverse_util
from torch import Tensor, nn
from torch.nn import functional

from rlvm.jobs.torch_step import tensor
from rlvm.models.ladder.network import RLadder
from rlvm.models.ladder.table import Layer, decoder_shapes, decoder_top, encoder_shapes
from rlvm.nn.convolution import padding
from rlvm.nn.pyramid import axis_strides
from rlvm.types import PyTree

EPSILON = 1e-5


class TorchLadder(nn.Module):
    """A ladder over frames, layer-normalised, with decoder-to-encoder connections; and its cost."""

    def __init__(self, ladder: RLadder, params: PyTree, class_weight: float, weight: float):
        super().__init__()
        flat = traverse_util.flatten_dict(params, sep="/")
        self.weights = nn.ParameterDict(
            {name.replace("/", "|"): nn.Parameter(tensor(value)) for name, value in flat.items()}
        )
        self.layers, self.keys = ladder.layers, ladder.observation == "keys"
        self.frame_shape = ladder.frame_shape
        self.shapes = encoder_shapes(ladder.layers, ladder.frame_shape)
        self.signal_shapes = decoder_shapes(ladder.layers, self.shapes)
        self.top = decoder_top(ladder.layers)
        self.class_weight, self.weight = class_weight, weight

    def noise(self, batch_size: int) -> Tensor:
        """Labels at random: what they are does not change the work."""
        return torch.randint(10, (batch_size,))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Mean cost of frames x [B, T, ...] with labels [B]."""
        height, width, channels = self.frame_shape
        frames = x.reshape(*x.shape[:2], height, width, channels).permute(1, 0, 4, 2, 3)
        self.kernels: dict[tuple, Tensor] = {}
        state: dict[int, tuple[Tensor, Tensor]] = {}
        decoded: dict[int, Tensor] = {}
        predictions: list[Tensor] = []
        logits: Any = None
        for frame in frames:
            encoded, logits = self.encode(frame, state, decoded)
            decoded = self.decode(encoded)
            predictions.append(decoded[0].permute(0, 2, 3, 1).flatten(1))
        predicted = torch.stack(predictions[:-1], 1)  # [B, T - 1, H W C]
        following = x[:, 1:].flatten(2)
        cost = self.weight * self.surprise(predicted, following)
        if self.class_weight:
            cost = cost + self.class_weight * functional.cross_entropy(logits, labels)
        return cost

    def surprise(self, predicted: Tensor, following: Tensor) -> Tensor:
        """-log p of the frames after the first: Bernoulli keys, or Gaussian of variance 1."""
        if self.keys:
            logits = predicted @ self["keys/kernel"] + self["keys/bias"]
            loss = functional.binary_cross_entropy_with_logits(logits, following, reduction="none")
        else:
            loss = 0.5 * (following - predicted) ** 2 + 0.5 * math.log(2 * math.pi)
        return loss.sum((1, 2)).mean()

    def __getitem__(self, name: str) -> Tensor:
        return self.weights[name.replace("/", "|")]

    def at(self, name: str) -> Tensor:
        """A parameter of the iteration."""
        return self[f"iteration/{name}"]

    def encode(self, frame: Tensor, state: dict, decoded: dict[int, Tensor]):
        """e_0 .. e_L of a frame, and the logits; `state` moves on."""
        encoded, logits = [frame], None
        for level, layer in enumerate(self.layers, 1):
            name, below = f"encoder_{level}", encoded[-1]
            if layer.encoder in ("ConvLSTM", "LSTM"):
                state[level] = self.recurrent(level, below, state, decoded)
                encoded.append(state[level][1])
            elif layer.encoder == "SoftMax":
                logits = flat(below) @ self.at(f"{name}/kernel") + self.at(f"{name}/bias")
                encoded.append(torch.softmax(logits, -1))
            elif layer.encoder == "Conv":
                y = self.conv(f"{name}/conv/kernel", below, layer.stride)
                scale, bias = self.at(f"{name}_BN/scale"), self.at(f"{name}_BN/bias")
                y = functional.batch_norm(y, None, None, scale, bias, True, 0.0, EPSILON)
                encoded.append(torch.relu(y))
            else:
                encoded.append(pool(below, layer))
        return encoded, logits

    def recurrent(self, level: int, below: Tensor, state: dict, decoded: dict[int, Tensor]):
        """(c, s) after one step of an LSTM or ConvLSTM."""
        name, layer = f"encoder_{level}", self.layers[level - 1]
        c, s = state.get(level) or (zeros(below, self.shapes[level]),) * 2
        laterals = []
        if f"iteration|{name}|norm_level_1|scale" in self.weights:
            found = decoded.get(level)
            laterals = [zeros(below, self.signal_shapes[level]) if found is None else found]
        level_inputs = enumerate([*laterals, s])
        inputs = [("below_0", below), *((f"level_{k}", x) for k, x in level_inputs)]
        total = along(self.at(f"{name}/b"), c)
        for kind, x in inputs:
            if layer.encoder == "LSTM":
                y = flat(x) @ self.at(f"{name}/W_{kind}/kernel")
            else:
                stride = layer.stride if kind == "below_0" else 1
                y = self.conv(f"{name}/W_{kind}/conv/kernel", x, stride)
            total = total + self.norm(f"{name}/norm_{kind}", y)
        i, f, g, o = total.chunk(4, 1)
        c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
        return c, torch.sigmoid(o) * torch.tanh(c)

    def decode(self, encoded: list[Tensor]) -> dict[int, Tensor]:
        """d_l of every level down to 0."""
        signal = {self.top: encoded[self.top]}
        for level in range(self.top - 1, -1, -1):
            layer, above, h = self.layers[level], signal[level + 1], encoded[level]
            name = f"decoder_{level}"
            if layer.decoder == "Identity":
                signal[level] = above
            elif layer.decoder == "G1":
                signal[level] = self.g1(name, above, h)
            elif layer.decoder == "ConvG2":
                signal[level] = self.conv_g2(name, layer, above, h)
            else:
                signal[level] = self.conv_g3(name, layer, above, h)
        return signal

    def g1(self, name: str, above: Tensor, h: Tensor) -> Tensor:
        """y = s h + (1 - s) f(u, w), u = LN(A v) + b."""
        u = self.norm(f"{name}/norm", flat(above) @ self.at(f"{name}/A/kernel"))
        u = u + self.at(f"{name}/norm/bias")
        s, held = self.curve(f"{name}/w_s", u), flat(h)
        y = s * held + (1 - s) * self.curve(f"{name}/w", u)
        return y if h.ndim == 2 else y.unflatten(1, (*h.shape[2:], h.shape[1])).permute(0, 3, 1, 2)

    def conv_g2(self, name: str, layer: Layer, above: Tensor, h: Tensor) -> Tensor:
        """y = s mu_1 + (1 - s) mu_2."""
        sums = self.sums(f"{name}/sums", layer, above, h, 3).chunk(3, 1)
        mu_1, mu_2, s = (self.curve(f"{name}/w_{k}", u) for k, u in zip("12s", sums, strict=True))
        return s * mu_1 + (1 - s) * mu_2

    def conv_g3(self, name: str, layer: Layer, above: Tensor, h: Tensor) -> Tensor:
        """y = s (D * u) + (1 - s) (E * u)."""
        u = torch.relu(self.sums(f"{name}/sum", layer, above, h, 1))

        def conv(part: str) -> Tensor:
            return self.conv(f"{name}/{part}/kernel", u, 1) + along(
                self.at(f"{name}/{part}/bias"), u
            )

        s = torch.sigmoid(conv("W_s"))
        return s * conv("D") + (1 - s) * conv("E")

    def sums(self, name: str, layer: Layer, above: Tensor, h: Tensor, count: int) -> Tensor:
        """LN(A * v_top) + LN(B * h) + c, `count` of them."""
        raised = self.up(f"{name}/A/conv/kernel", above, h.shape[2:], layer.stride or 1)
        total = self.norm(f"{name}/norm_A", raised, count) + along(self.at(f"{name}/c"), h)
        held = self.conv(f"{name}/B/conv/kernel", h, 1)
        return total + self.norm(f"{name}/norm_B", held, count)

    def curve(self, name: str, u: Tensor) -> Tensor:
        """f(u, w) = w0 sigmoid(w1 u + w2) + w3 u + w4."""
        w = [along(row, u) for row in self.at(f"{name}/w")]
        return w[0] * torch.sigmoid(w[1] * u + w[2]) + w[3] * u + w[4]

    def norm(self, name: str, x: Tensor, groups: int = 1) -> Tensor:
        """Layer normalisation over all units of each group of channels."""
        return functional.group_norm(x, groups, self.at(f"{name}/scale"), None, EPSILON)

    def prepared(self, name: str, turned: bool) -> Tensor:
        """The kernel [h, w, C, F] as conv2d wants it, or turned round for conv_transpose2d."""
        if (name, turned) not in self.kernels:
            kernel = self.at(name)
            order = (2, 3, 0, 1) if turned else (3, 2, 0, 1)
            kernel = (kernel.flip(0, 1) if turned else kernel).permute(*order)
            self.kernels[name, turned] = kernel.contiguous(memory_format=torch.channels_last)
        return self.kernels[name, turned]

    def conv(self, name: str, x: Tensor, stride: int) -> Tensor:
        """SAME padding, as JAX splits it."""
        strides, taps = axis_strides(x.shape[2:], stride), self.at(name).shape[:2]
        pads = [padding(n, k, s, 1) for n, k, s in zip(x.shape[2:], taps, strides, strict=True)]
        if all(front == back for front, back in pads):
            inside = tuple(front for front, _ in pads)
            return functional.conv2d(x, self.prepared(name, False), None, strides, inside)
        x = functional.pad(x, (*pads[1], *pads[0]))
        return functional.conv2d(x, self.prepared(name, False), None, strides)

    def up(self, name: str, x: Tensor, size: tuple[int, ...], stride: int) -> Tensor:
        """The transposed convolution cropped to `size`."""
        strides, taps = axis_strides(size, stride), self.at(name).shape[:2]
        if max(strides) == 1:
            return self.conv(name, x, 1)
        y = functional.conv_transpose2d(x, self.prepared(name, True), None, strides)
        axes = zip(x.shape[2:], taps, strides, size, strict=True)
        (top, height), (left, width) = (
            (k - 1 - padding(n, k, 1, s)[0], out) for n, k, s, out in axes
        )
        return y[:, :, top : top + height, left : left + width]


def zeros(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """What a level remembers before the first frame: shape [H, W, C] or [C], without the batch."""
    return like.new_zeros(len(like), shape[-1], *shape[:-1])


def flat(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H W C], as Flax flattens; vectors stay."""
    return x if x.ndim == 2 else x.permute(0, 2, 3, 1).flatten(1)


def along(values: Tensor, like: Tensor) -> Tensor:
    """Values [C] over the channels of `like`."""
    return values if like.ndim == 2 else values[:, None, None]


def pool(x: Tensor, layer: Layer) -> Tensor:
    """Max or average pooling of strided windows, padded as JAX splits it."""
    strides = axis_strides(x.shape[2:], layer.stride)
    axes = zip(x.shape[2:], layer.filter, strides, strict=True)
    front = tuple(padding(n, window, stride, 1)[0] for n, window, stride in axes)
    if layer.encoder == "MaxPool":
        return functional.max_pool2d(x, layer.filter, strides, front, ceil_mode=True)
    return functional.avg_pool2d(
        x, layer.filter, strides, front, ceil_mode=True, count_include_pad=False
    )
