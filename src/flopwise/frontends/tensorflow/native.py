"""One TensorFlow node as its lowering sees it, and the table of lowerings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flopwise import arrays as numpy
from flopwise.frontends.lowering import entering, first_type, meaning, module_path
from flopwise.frontends.tensorflow.schema import dtype_of
from flopwise.frontends.wire import Message
from flopwise.graph import Node, Tensor

if TYPE_CHECKING:
    from flopwise.frontends.tensorflow.model import Block


class Native:
    """A node: operands resolved to tensors, attributes by name, and `emit` to write ours."""

    def __init__(self, block: Block, message: Message) -> None:
        self.block, self.op = block, message.get("op", "")
        self.label: str = message.get("name", "")
        self.name = f"{block.prefix}{self.label}"
        self.attrs: dict[str, Message] = {
            a.get("key", ""): block.bound(a.get("value", {})) for a in message.get("attr", ())
        }
        self.inputs = tuple(block.find(ref) for ref in data(message))

    def given(self, place: int) -> Tensor:
        """An operand. Raises IndexError where it is missing."""
        if place >= len(self.inputs):
            raise IndexError(f"operand {place} is missing")
        return self.inputs[place]

    def integer(self, name: str, default: int = 0) -> int:
        """A number; writers leave zeros out."""
        found: int = self.attrs[name].get("i", 0) if name in self.attrs else default
        return found

    def integers(self, name: str) -> tuple[int, ...]:
        return tuple(self.attrs.get(name, {}).get("list", {}).get("i", ()))

    def flag(self, name: str) -> bool:
        return bool(self.attrs.get(name, {}).get("b", 0))

    def text(self, name: str, default: str = "") -> str:
        raw: bytes = self.attrs.get(name, {}).get("s", default.encode())
        return raw.decode(errors="replace")

    def texts(self, name: str) -> list[str]:
        spans = self.attrs.get(name, {}).get("list", {}).get("s", ())
        return [self.block.model.wire.text(*span) for span in spans]

    def dtype(self, name: str) -> str | None:
        """A type; None where it is not stated."""
        found = self.attrs.get(name, {}).get("type")
        return None if found is None else dtype_of(found) or None

    @property
    def first(self) -> bool:
        """Whether channels come first."""
        return self.text("data_format").startswith("NC")

    def values(self, place: int) -> list[Any] | None:
        """The numbers in a constant operand; None where they are computed."""
        tensor = self.given(place)
        if tensor.value is not None:
            return list(tensor.value.ravel().tolist())
        parts = self.elements(place, 0)
        return parts if parts and not any(isinstance(p, Tensor) for p in parts) else None

    def elements(self, place: int, count: int) -> list[Any]:
        """The elements of a vector: numbers where they are constant, else tensors."""
        tensor = self.given(place)
        if tensor.value is not None:
            return list(tensor.value.ravel().tolist())
        parts = self.block.model.packed.get(tensor.name)
        if parts is None:
            return [self.emit("select", tensor, part=f"{place}.{i}", axis=0, index=i)
                    for i in range(count)]  # fmt: skip
        return [t if t.value is None or t.value.size != 1 else t.value.ravel()[0] for t in parts]

    def emit(
        self, op: str, *inputs: Tensor | None, part: str = "", results: int = 1, **attrs: Any
    ) -> Tensor:
        """Write one node. A `part` makes a tensor between; without, it makes the results.
        Attributes that are None are left out."""
        self.block.model.count(results)
        name = f"{self.name}/{part}" if part else self.name
        first = first_type(inputs)
        given = {k: v for k, v in attrs.items() if v is not None}
        stated = given.get("dtype", first)
        dtypes = stated if isinstance(stated, tuple) else (stated,) * results
        made = [
            Tensor(self.block.model.unique(f"{name}:{i}" if i else name), None, d or first)
            for i, d in enumerate(dtypes)
        ]
        if not part:
            self.give(*made)
        self.block.nodes.append(
            Node(op, inputs, tuple(made), given, name, module_path(name), self.op)
        )
        return made[0]

    def activated(self, activation: str | None, op: str, *inputs: Any, **attrs: Any) -> None:
        """The operator, then one on its result where one is fused to it."""
        if activation is None:
            self.emit(op, *inputs, **attrs)
        else:
            self.emit(activation, self.emit(op, *inputs, part=op, **attrs))

    def give(self, *tensors: Tensor) -> None:
        """The results are these very tensors."""
        self.block.values[self.label] = tensors

    def constant(self, value: Any, dtype: str, part: str) -> Tensor:
        """A number of ours."""
        array = numpy.array(value, dtype=object)
        name = self.block.model.unique(f"{self.name}/{part}")
        return Tensor(name, array.shape, dtype, "constant", value=array)

    def unknown(self) -> None:
        """An operator that we have no meaning for: listed, never silently nothing."""
        self.emit("unknown", *self.inputs, results=self.block.used(self.label))


def data(message: Message) -> list[str]:
    """The operands of a node; control edges only say when it runs."""
    return [ref for ref in message.get("input", ()) if not ref.startswith("^")]


LOWERINGS: dict[str, Callable[..., Any]] = {}
lowers = entering(LOWERINGS)


def same_meaning(table: Mapping[str, str]) -> None:
    """Native operators that are one of ours, operand by operand."""
    LOWERINGS.update({native: meaning(op) for native, op in table.items()})
