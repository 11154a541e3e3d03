"""Networks as tables: one row a layer, read as tables 5 to 9 of the appendix are read.

    encoder    stride  channels  filter   decoder    filter
    ("ConvLSTM", 1,    32,       (3, 3),  "ConvG3",  (9, 9)),
    ("MaxPool",  2,    None,     (2, 2),  "ConvG3",  (6, 6)),
    ("LSTM",     None, 16,       None,    "G1",      None),
    ("SoftMax",  None, 10,       None,    None,      None),

Level 0 is the input and level l the output of row l. The decoder cell of row l leads back down
through that row: d_{l-1} = g_l(e_{l-1}, d_l), so it undoes the row's stride. The signal starts at
the topmost row with a cell, as d = e there; "Identity" hands it on unchanged and "Unpool" repeats
it over the pooled window. A pool without stride tiles its map; a SoftMax without channels has no
weights of its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rlvm.nn.pyramid import strided

ENCODERS = ("Conv", "ConvLSTM", "LSTM", "MaxPool", "AvgPool", "FC", "SoftMax")
DECODERS = ("G1", "ConvG1", "ConvG2", "ConvG3", "Identity", "Unpool")
CONVOLUTIONAL = ("ConvG1", "ConvG2", "ConvG3")
RECURRENT = ("ConvLSTM", "LSTM")
SPATIAL = ("Conv", "ConvLSTM", "MaxPool", "AvgPool")

Shape = tuple[int, ...]


class Layer(NamedTuple):
    """One row of a table; what a row leaves out as None is 0, () or "" here."""

    encoder: str
    stride: int
    channels: int
    filter: Shape
    decoder: str
    decoder_filter: Shape

    @property
    def window(self) -> Shape:
        """Height and width of the places below that one place above stands for."""
        return (self.stride, self.stride) if self.stride else self.filter or (1, 1)


def parse(rows: Sequence[Sequence]) -> tuple[Layer, ...]:
    """The table as layers; a row that cannot be read is named."""
    layers = tuple(_row(number, row) for number, row in enumerate(rows, 1))
    if not layers:
        raise ValueError("The layer table is empty; expected one row a layer.")
    top = decoder_top(layers)
    for number, layer in enumerate(layers[:top], 1):
        if not layer.decoder:
            raise ValueError(
                f"Row {number} ({layer.encoder}) has no decoder cell, but row {top} above it has: "
                "the signal cannot pass. Use 'Unpool' or 'Identity', or drop the cells above."
            )
    return layers


def _row(number: int, row: Sequence) -> Layer:
    if not 4 <= len(row) <= 6:
        raise ValueError(
            f"Row {number} has {len(row)} entries: {tuple(row)}; expected encoder, stride, "
            "channels, filter and, where there is one, decoder cell and its filter."
        )
    entries = [*row, *[None] * (6 - len(row))]
    encoder, stride, channels, size, decoder, decoder_size = entries
    layer = Layer(
        encoder,
        stride or 0,
        channels or 0,
        tuple(size or ()),
        decoder or "",
        tuple(decoder_size or ()),
    )
    for kind, known in ((layer.encoder, ENCODERS), (layer.decoder, (*DECODERS, ""))):
        if kind not in known:
            names = ", ".join(name for name in known if name)
            raise ValueError(f"Row {number}: no layer or cell '{kind}'. There are: {names}.")
    if layer.encoder in SPATIAL and not layer.filter:
        raise ValueError(f"Row {number} ({layer.encoder}) needs a filter size.")
    if layer.encoder in ("Conv", "ConvLSTM") and not layer.stride:
        raise ValueError(f"Row {number} ({layer.encoder}) needs a stride.")
    if layer.encoder in ("Conv", "ConvLSTM", "LSTM", "FC") and not layer.channels:
        raise ValueError(f"Row {number} ({layer.encoder}) needs a number of channels.")
    if layer.decoder in CONVOLUTIONAL and not layer.decoder_filter:
        raise ValueError(f"Row {number} ({layer.decoder}) needs a decoder filter size.")
    if layer.decoder in CONVOLUTIONAL and (layer.encoder not in SPATIAL or not layer.stride):
        raise ValueError(
            f"Row {number}: {layer.decoder} undoes a map's stride, and this {layer.encoder} has "
            "none. Use 'G1', or 'Unpool' under a pool."
        )
    return layer


def decoder_top(layers: Sequence[Layer]) -> int:
    """Number of the topmost row with a decoder cell; 0 without a decoder."""
    return max((n for n, layer in enumerate(layers, 1) if layer.decoder), default=0)


def encoder_shapes(layers: Sequence[Layer], frame_shape: Shape) -> tuple[Shape, ...]:
    """Shapes of e_0 .. e_L without the batch axis: [H, W, C] for maps, [C] for vectors."""
    shapes = [tuple(frame_shape)]
    for number, layer in enumerate(layers, 1):
        shapes.append(_shape_above(number, layer, shapes[-1]))
    return tuple(shapes)


def _shape_above(number: int, layer: Layer, below: Shape) -> Shape:
    if layer.encoder not in SPATIAL:
        return (layer.channels,) if layer.channels else (below[-1],)
    if len(below) != 3:
        raise ValueError(f"Row {number} ({layer.encoder}) needs a map below, got shape {below}.")
    size, channels = below[:2], layer.channels or below[-1]
    if layer.stride:
        return (*strided(size, layer.stride), channels)
    if any(n % window for n, window in zip(size, layer.filter, strict=True)):
        raise ValueError(
            f"Row {number}: a frame of this size reaches the {layer.encoder} as {size[0]}x{size[1]}"
            f", which its window {layer.filter[0]}x{layer.filter[1]} does not tile, so the decoder "
            "cannot undo it. Choose another frame size or give the pool a stride."
        )
    return (*(n // window for n, window in zip(size, layer.filter, strict=True)), channels)


def decoder_shapes(layers: Sequence[Layer], shapes: Sequence[Shape]) -> dict[int, Shape]:
    """Shapes of d_l by level, from the topmost decoder cell down to level 0."""
    top = decoder_top(layers)
    signal = {top: shapes[top]} if top else {}
    for level in range(top - 1, -1, -1):
        kind = layers[level].decoder  # the cell of row level + 1
        if kind == "Identity":
            signal[level] = signal[level + 1]
        elif kind == "Unpool":
            signal[level] = (*shapes[level][:2], signal[level + 1][-1])
        else:
            signal[level] = shapes[level]
    return signal
