"""One MIL operation, and how it writes nodes of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flopwise.frontends.lowering import entering, first_type, module_path, move, typed
from flopwise.frontends.wire import Message
from flopwise.graph import Graph, Node, Tensor

if TYPE_CHECKING:
    from flopwise.frontends.coreml.program import Block


class Native:
    """An operation: its parameters by name, each bound to one value or to several."""

    def __init__(
        self, block: Block, op: str, arguments: Mapping[str, Sequence[str]],
        outputs: Sequence[Tensor], blocks: Sequence[Message],
    ) -> None:  # fmt: skip
        self.block, self.op, self.arguments = block, op, arguments
        self.outputs, self.blocks = tuple(outputs), tuple(blocks)
        self.name = outputs[0].name if outputs else op

    @property
    def open(self) -> bool:
        """Whether the shapes of the file do not hold."""
        return self.block.program.open

    def tensors(self, name: str) -> list[Tensor]:
        """All values bound to a parameter."""
        return [self.block.find(n) for n in self.arguments.get(name, ())]

    def maybe(self, name: str) -> Tensor | None:
        """The value of a parameter; None where it is left out."""
        return next(iter(self.tensors(name)), None)

    def given(self, name: str) -> Tensor:
        """The value of a parameter. Raises KeyError where it is left out."""
        tensor = self.maybe(name)
        if tensor is None:
            raise KeyError(f"'{name}' is left out")
        return tensor

    def data(self, name: str) -> Any:
        """The content of a constant parameter; None where it is computed or left out."""
        bound = self.arguments.get(name)
        if not bound:
            return None
        return self.block.known(bound[0]) if len(bound) == 1 else [
            self.block.known(b) for b in bound
        ]  # fmt: skip

    def numbers(self, name: str) -> list[Any] | None:
        """Numbers, one or several."""
        found = self.data(name)
        return None if found is None or isinstance(found, str) else list(found)

    def number(self, name: str, default: Any = None) -> Any:
        found = self.numbers(name)
        return found[0] if found else default

    def text(self, name: str, default: str = "") -> str:
        found = self.data(name)
        return found if isinstance(found, str) else default

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self.number(name, default))

    def emit(
        self, op: str, *inputs: Tensor | None, part: str = "", to: Sequence[Tensor] | None = None,
        **attrs: Any,
    ) -> Tensor:  # fmt: skip
        """One node. A `part` makes a tensor between; without, it makes the results."""
        outputs = self.outputs if to is None else tuple(to)
        if part:
            name = self.block.program.unique(f"{self.name}/{part}")
            outputs = (Tensor(name, None, attrs.get("dtype", first_type(inputs))),)
        name = f"{self.name}/{part}" if part else self.name
        attrs = typed(inputs, outputs, attrs)
        self.block.nodes.append(Node(op, inputs, outputs, attrs, name, module_path(name), self.op))
        return outputs[0] if outputs else Tensor("")

    def movement(self, op: str, *inputs: Tensor | None, **attrs: Any) -> None:
        """A node that only moves data. An attribute that is None is computed at run time."""
        move(self, not all(t.known for t in self.outputs), op, *inputs, **attrs)

    def unknown(self) -> None:
        """An operation that we have no meaning for: listed, never silently nothing."""
        inputs = tuple(t for name in self.arguments for t in self.tensors(name))
        node = Node("unknown", inputs, self.outputs, {}, self.name, (self.name,), self.op)
        self.block.nodes.append(node)

    def inner(self, i: int) -> Graph:
        """The i-th block of the operation, lowered."""
        return self.block.inner(self.blocks[i])


LOWERINGS: dict[str, Callable[[Native], None]] = {}
lowers = entering(LOWERINGS)


def same_meaning(table: Mapping[str, str], *operands: str) -> None:
    """Operations that are one of our operators, for the named operands."""

    def meant(op: str) -> Callable[[Native], None]:
        return lambda n: void(n.emit(op, *map(n.given, operands)))

    LOWERINGS.update({kind: meant(op) for kind, op in table.items()})


def void(_: Any) -> None:
    """Drop a result."""
