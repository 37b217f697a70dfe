"""From the layers of a neural network to a Graph: blobs, their ranks, inputs.

A network of the older mapping has blobs of five axes, sequence, batch, channels, height
and width; ours are four, the first two of them being one.
"""

from __future__ import annotations

from math import prod
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends import Request
from flopwise.frontends.coreml.network_native import LOWERINGS, Layer
from flopwise.frontends.coreml.network_schema import KINDS
from flopwise.frontends.lowering import Names
from flopwise.frontends.wire import Message, Wire
from flopwise.graph import Graph, Node, Tensor

# Doubles are how the interface hands numbers over; layers compute on floats.
ARRAYS = {65568: "float32", 65600: "float32", 131104: "int32", 131080: "int8", 65552: "float16"}
EXACT = 1
GREY = (10, 40)


class Network:
    """The blobs made so far, each with its rank, and the nodes."""

    def __init__(self, wire: Wire, message: Message, described: Message, request: Request) -> None:
        self.wire, self.message, self.described = wire, message, described
        self.exact = message.get("arrays") == EXACT
        self.blobs: dict[str, Tensor] = {}
        self.ranks: dict[str, int] = {}
        self.unique = Names()
        self.nodes: list[Node] = []

    def graph(self, stem: str) -> Graph:
        inputs = tuple(self._input(f) for f in self.described.get("inputs", ()))
        layers = self.message.get("layers", ())
        if not layers:
            raise self.error("the network holds no layer")
        for scaled in self.message.get("preprocessing", ()):
            self._prepare(scaled)
        self.lower(layers)
        named = [f.get("name", "") for f in self.described.get("outputs", ())]
        outputs = tuple(self.blobs[n] for n in named if n in self.blobs)
        return Graph(inputs, outputs, tuple(self.nodes), stem, "coreml")

    def _input(self, feature: Message) -> Tensor:
        name, kind = feature.get("name", ""), feature.get("type", {})
        image, array = kind.get("image"), kind.get("array", {})
        if image is not None:
            channels = 1 if image.get("color") in GREY else 3
            free = "enumerated" in image or "range" in image
            sizes = [None, None] if free else [image.get("height"), image.get("width")]
            shape: tuple[int | None, ...] = (1, channels, *sizes)
        else:
            shape = tuple(array.get("shape", ()))
            if "range" in array or "enumerated" in array:
                shape = (None,) * len(shape)
            shape = shape if self.exact else _four(shape)
        if any(size is not None and size < 0 for size in shape):
            raise self.error(f"input '{name}' has the shape {list(shape)}")
        dtype = ARRAYS.get(array.get("type", 0), "float32")
        tensor = Tensor(self.unique(name), shape, dtype, "input")
        self.blobs[name], self.ranks[name] = tensor, len(shape)
        return tensor

    def _prepare(self, scaled: Message) -> None:
        """A factor and an offset per channel, or a mean image, on one of the inputs."""
        name = scaled.get("feature") or next(iter(self.blobs), "")
        if name not in self.blobs:
            raise self.error(f"preprocesses '{name}', which is no input")
        x = self.blobs[name]
        for op in ("mul", "add") if "scaler" in scaled else ("sub",):
            out = Tensor(self.unique(f"{name}/{op}"))
            path = (name, op)
            self.nodes.append(Node(op, (x,), (out,), {}, "/".join(path), path, "preprocessing"))
            x = out
        self.blobs[name] = x

    def lower(self, layers: Any) -> None:
        """The layers in order."""
        for place, message in enumerate(layers):
            self._layer(place, message)

    def _layer(self, place: int, message: Message) -> None:
        name = message.get("name", "") or f"layer {place}"
        kind = next((k for k in KINDS if k in message), "")
        where = f"layer '{name}' ({kind or 'of no known kind'})"
        for blob in message.get("inputs", ()):
            if blob not in self.blobs:
                raise self.error(f"{where}: nothing before it makes '{blob}'")
        layer = Layer(self, name, kind, message)
        try:
            LOWERINGS.get(kind, Layer.unknown)(layer)
        except UnreadableModel as error:
            text = str(error).removeprefix(f"{self.wire.where}: ")
            raise self.error(text if text.startswith("layer") else f"{where}: {text}") from None
        except (IndexError, KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise self.error(f"{where}: does not fit ({error})") from None

    def stored(self, weights: Message, shape: tuple[int, ...], name: str) -> str:
        """The type of stored weights. Raises UnreadableModel when they are not of the shape."""
        size = prod(shape)
        for kind, width, dtype in (("floats", 4, "float32"), ("halves", 2, "float16")):
            if kind in weights:
                held = sum(stop - start for start, stop in weights[kind]) // width
                if held != size:
                    raise self.error(f"{name} of shape {list(shape)} holds {held:,} numbers")
                return dtype
        bits = weights.get("quantization", {}).get("bits", 8)
        if bits in (1, 2, 3, 4, 6):
            return f"uint{bits}"
        return "int8" if "raw" in weights else "float32"

    def error(self, text: str) -> UnreadableModel:
        return UnreadableModel(f"{self.wire.where}: {text}")


def _four(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Batch, channels, height and width, of one, three, or more axes."""
    if len(shape) == 1:
        return (1, *shape, 1, 1)
    if len(shape) == 3:
        return (1, *shape)
    if len(shape) == 5:
        front = None if None in shape[:2] else prod(s or 1 for s in shape[:2])
        return (front, *shape[2:])
    return shape
