"""One ONNX node as its lowering sees it, and the table of lowerings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from flopwise.dims import Dim, symbol
from flopwise.errors import UnreadableModel, printable
from flopwise.frontends.onnx.tensors import dtype_of, stored, texts
from flopwise.frontends.wire import Message
from flopwise.graph import Node, Tensor

if TYPE_CHECKING:
    from flopwise.frontends.onnx.model import Block

Lowering = Callable[..., Any]  # of a Native, and what others of its kind may add
L = TypeVar("L", bound=Lowering)

PRODUCTS = {"conv", "conv_transpose", "linear", "matmul"}

LOWERINGS: dict[tuple[str, str], Lowering] = {}


def lowers(*names: str, domain: str = "") -> Callable[[L], L]:
    """Enter the decorated function as what native operators of a domain mean."""

    def enter(function: L) -> L:
        LOWERINGS.update({(domain, name): function for name in names})
        return function

    return enter


def same_meaning(table: dict[str, str], domain: str = "") -> None:
    """Enter native operators that are one of ours, with all operands as they come."""
    for name, op in table.items():
        lowers(name, domain=domain)(partial(_same, op))


def _same(op: str, n: Native) -> None:
    n.emit(op, *n.inputs)


class Native:
    """A node: operands resolved to tensors, attributes by name, and `emit` to write ours."""

    __slots__ = ("attrs", "block", "inputs", "message", "name", "op", "origin", "outputs", "scope")

    def __init__(self, block: Block, message: Message, attrs: dict[str, Message]) -> None:
        self.block, self.message, self.attrs = block, message, attrs
        self.op: str = printable(message.get("op_type", ""))
        domain = printable(message.get("domain", ""))
        self.origin = self.op if domain in ("", "ai.onnx") else f"{domain}::{self.op}"
        self.outputs: list[str] = message.get("output", [])
        first = next(filter(None, self.outputs), "")
        self.name: str = printable(message.get("name") or first or self.op)
        self.scope = scope_of(message, self.name)
        self.inputs: list[Tensor | None] = [block.find(name) for name in message.get("input", ())]

    @property
    def version(self) -> int:
        """The version of the operator set that this node is of."""
        return self.block.opsets.get(self.message.get("domain", ""), 1)

    def input(self, place: int) -> Tensor | None:
        """An operand; None when it is absent."""
        return self.inputs[place] if place < len(self.inputs) else None

    def given(self, place: int) -> Tensor:
        """An operand that must be there. Raises UnreadableModel."""
        tensor = self.input(place)
        if tensor is None:
            raise UnreadableModel(f"operand {place + 1} is missing")
        return tensor

    def integer(self, name: str, default: Any = 0) -> Any:
        """An integer attribute, or the default; proto3 writers leave zeros out."""
        attribute = self.attrs.get(name)
        return default if attribute is None else attribute.get("i", 0)

    def integers(self, name: str) -> tuple[int, ...] | None:
        """An attribute of integers, or None."""
        attribute = self.attrs.get(name)
        return None if attribute is None else tuple(attribute.get("ints", ()))

    def real(self, name: str, default: float = 0.0) -> float:
        attribute = self.attrs.get(name)
        return default if attribute is None else attribute.get("f", 0.0)

    def reals(self, name: str) -> tuple[float, ...] | None:
        attribute = self.attrs.get(name)
        return None if attribute is None else tuple(attribute.get("floats", ()))

    def text(self, name: str, default: str = "") -> str:
        attribute = self.attrs.get(name)
        raw: bytes = b"" if attribute is None else attribute.get("s", b"")
        return default if attribute is None else raw.decode(errors="replace")

    def texts(self, name: str) -> list[str]:
        spans = self.attrs.get(name, {}).get("strings", [])
        return texts(self.block.wire, spans)

    def dtype(self, name: str = "dtype") -> str | None:
        """An attribute that names a type, or None."""
        return dtype_of(self.integer(name)) or None

    def tensor(self, name: str) -> Tensor | None:
        """A tensor attribute by its header."""
        message = self.attrs.get(name, {}).get("t")
        return None if message is None else stored(self.block.wire, message, self.outputs[0])

    def emit(
        self, op: str, *inputs: Tensor | None, part: str = "", outputs: Sequence[str] | None = None,
        **attrs: Any,
    ) -> Tensor:  # fmt: skip
        """Write one node. A `part` makes an intermediate result; else the node's outputs.

        Attributes that are None are left out.
        """
        if part:
            return self.parts(op, *inputs, part=part, results=1, **attrs)[0]
        made = [self.block.define(o) for o in (self.outputs if outputs is None else outputs)]
        return self._write(op, inputs, made, "", attrs)[0]

    def parts(
        self, op: str, *inputs: Tensor | None, part: str, results: int, **attrs: Any
    ) -> list[Tensor]:
        """Write one node with so many intermediate results."""
        name = f"{self.name}/{part}"
        made = [self.block.fresh(f"{name}.{i}" if i else name) for i in range(results)]
        return self._write(op, inputs, made, part, attrs)

    def _write(
        self, op: str, inputs: Sequence[Tensor | None], made: list[Tensor], part: str,
        attrs: dict[str, Any],
    ) -> list[Tensor]:  # fmt: skip
        name = f"{self.name}/{part}" if part else self.name
        scope = (*self.scope, part) if part else self.scope
        given = {k: v for k, v in attrs.items() if v is not None}
        if op in PRODUCTS and (integers := self.block.model.integers):
            sides = [integers.get(t.name, "") for t in inputs[:2] if t is not None]
            if all(sides):
                given["integers"] = tuple(sides)
                self.block.model.products[" x ".join(sides)] += 1
        node = Node(op, tuple(inputs), tuple(made), given, name, scope, self.origin)
        self.block.nodes.append(node)
        return made or [Tensor("")]

    def activated(
        self, activation: str | None, op: str, *inputs: Tensor | None, **attrs: Any
    ) -> None:
        """The operator, then one of ours on its result where one is fused to it."""
        if activation is None:
            self.emit(op, *inputs, **attrs)
        else:
            self.emit(activation, self.emit(op, *inputs, part=op, **attrs))

    def free(self, output: int = 0) -> Dim | None:
        """A symbol for a number that is data, and a note that says so; None where the file
        itself states the shape of the output."""
        name = self.outputs[output] if output < len(self.outputs) else ""
        if self.block.states(name):
            return None
        count = symbol(f"{name or self.name}_count")
        self.block.model.notes.append(
            f"{self.name} ({self.origin}): how many it finds is data; that number is '{count}'"
        )
        return count

    def alias(self, tensor: Tensor, output: int = 0) -> None:
        """The output is the very tensor given: a constant, say."""
        self.block.values[self.outputs[output]] = tensor

    def unknown(self) -> None:
        """An operator without a meaning here: listed, never silently nothing."""
        self.emit("unknown", *self.inputs)


def scope_of(message: Message, name: str) -> tuple[str, ...]:
    """The module path: as torch's exporter writes it, or as slashes in the name tell it."""
    for entry in message.get("metadata", ()):
        if entry.get("key") == "pkg.torch.onnx.name_scopes":
            parts = [part.strip(" '\"[]") for part in entry.get("value", "").split(",")]
            module = ".".join(parts[-2:-1])
            return (*filter(None, module.split(".")), parts[-1])
    return tuple(filter(None, name.split("/")))
