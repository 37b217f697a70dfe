"""One layer of a CoreML neural network, and how it writes nodes of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flopwise.frontends.lowering import entering, meaning, module_path
from flopwise.frontends.wire import Message
from flopwise.graph import Node, Tensor

if TYPE_CHECKING:
    from flopwise.frontends.coreml.network import Network


class Layer:
    """A layer: its parameters, its blobs, and their ranks."""

    def __init__(self, net: Network, name: str, kind: str, message: Message) -> None:
        self.net, self.name, self.kind = net, name, kind
        self.p: Message = message.get(kind, {})
        bottoms = message.get("inputs", ())
        self.inputs = tuple(net.blobs[b] for b in bottoms)
        self.ranks = tuple(net.ranks[b] for b in bottoms)
        self.tops: Sequence[str] = message.get("outputs", ())
        self.origin = f"{kind} layer" if kind else "layer of no known kind"

    @property
    def rank(self) -> int:
        """Axes of the first blob; 4 where there is none."""
        return self.ranks[0] if self.ranks else 4

    def integer(self, name: str, default: int = 0) -> int:
        """A number that is left out where it is the default of protobuf."""
        value: int = self.p.get(name, default)
        return value

    def integers(self, name: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        return tuple(self.p.get(name) or default)

    def weight(self, name: str, *shape: int, field: str = "", trainable: bool = True) -> Tensor:
        """A stored tensor; its shape follows from the parameters."""
        if any(size < 1 for size in shape):
            raise ValueError(f"its {name} would have the shape {list(shape)}")
        dtype = self.net.stored(self.p.get(field or name, {}), shape, name)
        return Tensor(f"{self.name}.{name}", shape, dtype, "weight", trainable)

    def optional(self, flag: str, name: str, *shape: int) -> Tensor | None:
        """A weight that a flag says is there."""
        return self.weight(name, *shape) if self.integer(flag) else None

    def emit(
        self, op: str, *inputs: Tensor | None, part: str = "", rank: int | None = None,
        to: Sequence[str] | None = None, **attrs: Any,
    ) -> Tensor:  # fmt: skip
        """One node. A `part` makes a blob between; without, it makes the tops, of `rank` axes."""
        first = next((t for t in inputs if t is not None), None)
        dtype = attrs.get("dtype") or (first.dtype if first is not None else "float32")
        if part:
            outputs: tuple[Tensor, ...] = (
                Tensor(self.net.unique(f"{self.name}/{part}"), None, dtype),
            )
        else:
            tops = self.tops if to is None else to
            outputs = tuple(Tensor(self.net.unique(top), None, dtype) for top in tops)
            self.net.blobs.update(zip(tops, outputs))
            self.net.ranks.update(dict.fromkeys(tops, self.rank if rank is None else rank))
        name = f"{self.name}/{part}" if part else self.name
        node = Node(op, inputs, outputs, attrs, name, module_path(name), self.origin)
        self.net.nodes.append(node)
        return outputs[0] if outputs else Tensor("")

    def unknown(self) -> None:
        """A layer that we have no meaning for: listed, never silently nothing."""
        self.emit("unknown", *self.inputs)


LOWERINGS: dict[str, Callable[[Layer], None]] = {}
lowers = entering(LOWERINGS)


def same_meaning(table: Mapping[str, str]) -> None:
    """Layers that are one of our operators, blob by blob."""
    LOWERINGS.update({kind: meaning(op) for kind, op in table.items()})
