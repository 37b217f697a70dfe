"""One layer of an IR, and how it writes nodes of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flopwise.frontends.lowering import (
    entering,
    first_type,
    meaning,
    module_path,
    move,
    typed,
)  # fmt: skip
from flopwise.graph import Node, Tensor

if TYPE_CHECKING:
    from flopwise.frontends.openvino.model import Block
    from flopwise.frontends.openvino.xml import Element


class Native:
    """A layer with its operands and results."""

    def __init__(
        self, block: Block, element: Element, kind: str, inputs: Sequence[Tensor | None],
        outputs: Sequence[Tensor],
    ) -> None:  # fmt: skip
        self.block, self.element, self.kind = block, element, kind
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        data = element.find("data")
        self.attrs: dict[str, str] = data.attrs if data is not None else {}
        self.name = block.prefix + (element.attrs.get("name") or f"{kind} {len(block.nodes)}")

    @property
    def version(self) -> int:
        """The number of the operator set."""
        return int(self.element.attrs.get("version", "opset1").removeprefix("opset") or 1)

    def input(self, i: int) -> Tensor | None:
        return self.inputs[i] if i < len(self.inputs) else None

    def given(self, i: int) -> Tensor:
        """The i-th operand. Raises IndexError where there is none."""
        tensor = self.input(i)
        if tensor is None:
            raise IndexError(f"operand {i} is absent")
        return tensor

    def values(self, i: int) -> list[int] | None:
        """The numbers in a constant operand; None where they are computed."""
        tensor = self.input(i)
        return None if tensor is None or tensor.value is None else tensor.value.ravel().tolist()

    def stated(self, i: int) -> tuple[int, ...]:
        """The shape of the i-th operand in the file."""
        port = self.element.all("input", "port")[i]
        return tuple(-1 if s is None else s for s in self.block._shape(port))

    def text(self, name: str, default: str = "") -> str:
        return self.attrs.get(name, default)

    def flag(self, name: str, default: bool = False) -> bool:
        return self.text(name, str(default)).lower() in ("true", "1")

    def integer(self, name: str, default: int = 0) -> int:
        return int(self.text(name, str(default)))

    def integers(self, name: str) -> tuple[int, ...]:
        return tuple(int(v) for v in self.text(name).split(",") if v.strip())

    def emit(
        self, op: str, *inputs: Tensor | None, part: str = "", to: Sequence[Tensor] | None = None,
        **attrs: Any,
    ) -> Tensor:  # fmt: skip
        """One node. A `part` makes a tensor between; without, it makes the results."""
        outputs = self.outputs if to is None else tuple(to)
        if part:
            name = self.block.model.unique(f"{self.name}/{part}")
            outputs = (Tensor(name, None, attrs.get("dtype", first_type(inputs))),)
        name = f"{self.name}/{part}" if part else self.name
        attrs = typed(inputs, outputs, attrs)
        self.append(Node(op, inputs, outputs, attrs, name, path(name), self.kind))
        return outputs[0] if outputs else Tensor("")

    def append(self, node: Node) -> None:
        self.block.nodes.append(node)

    def movement(self, op: str, *inputs: Tensor | None, **attrs: Any) -> None:
        """A node that only moves data. An attribute that is None is computed at run time."""
        move(self, not all(t.known for t in self.outputs), op, *inputs, **attrs)

    def unknown(self) -> None:
        """A layer that we have no meaning for: listed, never silently nothing."""
        self.append(
            Node("unknown", self.inputs, self.outputs, {}, self.name, path(self.name), self.kind)
        )


def path(name: str) -> tuple[str, ...]:
    """The module path in a name; that of a PyTorch module is dotted."""
    parts = [*module_path(name)]
    if parts and parts[0].startswith("__module."):
        parts[:1] = parts[0].removeprefix("__module.").split(".")
    return tuple(parts)


LOWERINGS: dict[str, Callable[[Native], None]] = {}
lowers = entering(LOWERINGS)


def same_meaning(table: Mapping[str, str], operands: int | None = None) -> None:
    """Layers that are one of our operators, operand by operand (or by the first of them)."""
    LOWERINGS.update({kind: meaning(op, operands) for kind, op in table.items()})
