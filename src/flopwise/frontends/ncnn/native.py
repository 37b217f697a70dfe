"""One layer of ncnn, and how it writes nodes of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.lowering import entering, meaning, module_path
from flopwise.frontends.ncnn.text import Record
from flopwise.graph import Node, Tensor

if TYPE_CHECKING:
    from flopwise.frontends.ncnn.net import Net

FUSED = {1: "relu", 2: "leaky_relu", 3: "clip", 4: "sigmoid", 5: "mish", 6: "hard_swish"}
LEFT_OPEN = -233  # "to the end", "as it is", "same padding": ncnn's word for no number


class NotSaid(Exception):
    """Parameters that have no meaning here: the layer is listed as unknown."""


class Native:
    """A layer with its blobs. The activation fused into it is a node of its own."""

    def __init__(self, net: Net, record: Record) -> None:
        self.net, self.kind, self.name = net, record.kind, record.name
        self.params, self.tops = record.params, record.tops
        self.inputs = tuple(net.blobs[b] for b in record.bottoms)
        self.ranks = tuple(net.ranks[b] for b in record.bottoms)
        net.used.update(t.name for t in self.inputs)

    @property
    def rank(self) -> int:
        """Axes of the first blob, the batch not counted."""
        return self.ranks[0]

    def integer(self, number: int, default: int = 0) -> int:
        """A whole number among the parameters."""
        value = self.params.get(number, default)
        if isinstance(value, list | str) or value != int(value):
            raise UnreadableModel(f"parameter {number} is {value!r}, not a whole number")
        return int(value)

    def real(self, number: int, default: float = 0.0) -> float:
        value = self.params.get(number, default)
        if isinstance(value, list | str):
            raise UnreadableModel(f"parameter {number} is {value!r}, not a number")
        return float(value)

    def array(self, number: int) -> list[Any]:
        value = self.params.get(number, [])
        return value if isinstance(value, list) else [value]

    def text(self, number: int) -> str:
        """An expression of sizes; "" for none. Of one size alone it is a number."""
        value = self.params.get(number, "")
        return ",".join(map(str, value)) if isinstance(value, list) else str(value)

    def axis(self, number: int, default: int = 0) -> int:
        """An axis of the blob as one of ours, behind the batch."""
        return _behind(self.integer(number, default))

    def axes(self, number: int) -> list[int]:
        return [_behind(a) for a in self.array(number)]

    def weight(
        self, kind: str, *shape: int, dtype: str = "float32", trainable: bool = True
    ) -> Tensor:
        """A stored tensor; its shape follows from the parameters."""
        for size in shape:
            if size < 1:
                raise UnreadableModel(f"its {kind} would have an axis of {size}")
        return Tensor(f"{self.name}.{kind}", shape, dtype, "weight", trainable)

    def scales(self, kind: str, size: int) -> Tensor:
        """Factors of quantisation: kept with the weights, but no parameters."""
        return Tensor(f"{self.name}.{kind}", (size,), role="buffer")

    def emit(
        self, op: str, *inputs: Tensor | None, part: str = "", rank: int | None = None,
        to: Sequence[str] | None = None, **attrs: Any,
    ) -> Tensor:  # fmt: skip
        """One node. A `part` makes a blob between; without, it makes the tops, of `rank` axes."""
        first = next((t for t in inputs if t is not None), None)
        dtype = attrs.get("dtype") or (first.dtype if first is not None else "float32")
        if part:
            between = Tensor(f"{self.name}/{part}", None, dtype)
            return self.write(op, inputs, (between,), part, attrs)
        tops = self.tops if to is None else to
        outputs = tuple(Tensor(top, None, dtype) for top in tops)
        self.net.blobs.update(zip(tops, outputs))
        rank = self.rank if rank is None else rank
        self.net.ranks.update(dict.fromkeys(tops, rank))
        return self.write(op, inputs, outputs, "", attrs)

    @property
    def activation(self) -> str:
        """The activation that parameter 9 names; "" for none."""
        kind = self.integer(9)
        if kind and kind not in FUSED:
            raise UnreadableModel(f"activation {kind} is none of ncnn's")
        return FUSED[kind] if kind else ""

    def activated(
        self, op: str, *inputs: Tensor | None, rank: int | None = None, **attrs: Any
    ) -> None:
        """A node, then the activation fused into the layer."""
        if not self.activation:
            self.emit(op, *inputs, rank=rank, **attrs)
            return
        bare = self.emit(op, *inputs, part=op, **attrs)
        self.emit(self.activation, bare, rank=rank)

    def write(
        self, op: str, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], part: str,
        attrs: dict[str, Any],
    ) -> Tensor:  # fmt: skip
        """Append a node."""
        name = f"{self.name}/{part}" if part else self.name
        self.net.nodes.append(Node(op, inputs, outputs, attrs, name, module_path(name), self.kind))
        return outputs[0] if outputs else Tensor("")

    def alias(self) -> None:
        """All tops are the bottom itself."""
        for top in self.tops:
            self.net.blobs[top], self.net.ranks[top] = self.inputs[0], self.rank
        self.net.used.discard(self.inputs[0].name)

    def unknown(self, rank: int | None = None) -> None:
        """A layer that we have no meaning for: listed, never silently nothing."""
        first = self.ranks[0] if self.ranks else 1
        self.emit("unknown", *self.inputs, rank=first if rank is None else rank)


def _behind(axis: int) -> int:
    return axis + 1 if axis >= 0 else axis


LOWERINGS: dict[str, Callable[[Native], None]] = {}
lowers = entering(LOWERINGS)


def same_meaning(table: Mapping[str, str]) -> None:
    """Layers that are one of our operators, blob by blob."""
    LOWERINGS.update({kind: meaning(op) for kind, op in table.items()})
