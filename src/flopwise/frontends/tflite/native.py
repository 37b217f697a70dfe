"""One TFLite operator, and how it writes nodes of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flopwise.frontends.lowering import entering, first_type, meaning, module_path, move
from flopwise.graph import Graph, Node, Tensor

if TYPE_CHECKING:
    from flopwise.frontends.tflite.model import Block

FUSED = {1: "relu", 2: "hard_tanh", 3: "relu6", 4: "tanh", 5: "sign"}


class Native:
    """An operator with its operands. An activation fused into it is a node of its own."""

    def __init__(
        self, block: Block, op: str, options: Mapping[str, Any], inputs: list[int],
        outputs: list[int],
    ) -> None:  # fmt: skip
        self.block, self.op, self.options = block, op, options
        self.places, self.made = inputs, outputs
        tensors = block.tensors
        self.inputs = tuple(tensors[i] if i >= 0 else None for i in inputs)
        self.outputs = tuple(tensors[i] for i in outputs)
        self.label = self.outputs[0].name if self.outputs else f"{op} {len(block.nodes)}"
        # Names of operators that were fused into one are joined by semicolons.
        self.name = self.label.partition(";")[0] or self.label

    @property
    def open(self) -> bool:
        """Whether the shapes of the file do not hold."""
        return self.block.model.open

    def option(self, name: str) -> Any:
        """An option, 0 where the file leaves all options out."""
        return self.options.get(name, 0)

    def input(self, i: int) -> Tensor | None:
        """The i-th operand; None where it is absent."""
        return self.inputs[i] if i < len(self.inputs) else None

    def given(self, i: int) -> Tensor:
        """The i-th operand. Raises IndexError where it is absent."""
        tensor = self.input(i)
        if tensor is None:
            raise IndexError(f"operand {i} is absent")
        return tensor

    def stated(self, i: int) -> tuple[int, ...]:
        """The shape of the i-th operand as the file has it, whatever is asked for."""
        shape: tuple[int, ...] = self.block.entries[self.places[i]]["shape"]
        return shape

    def values(self, i: int) -> list[int] | None:
        """The numbers in a constant operand; None where they are computed."""
        tensor = self.input(i)
        return None if tensor is None or tensor.value is None else tensor.value.ravel().tolist()

    def result(self, i: int) -> tuple[int, ...]:
        """The shape of the i-th result as the file has it."""
        shape: tuple[int, ...] = self.block.entries[self.made[i]]["shape"]
        return shape

    def emit(
        self, op: str, *inputs: Tensor | None, part: str = "", to: Sequence[Tensor] | None = None,
        fused: bool = True, **attrs: Any,
    ) -> Tensor:  # fmt: skip
        """One node. A `part` makes a tensor between; without, it makes the results, or those
        that `to` lists. A fused activation follows the last node as one of its own, unless
        it acts inside (`fused` False)."""
        if part:
            out = Tensor(f"{self.label}/{part}", None, attrs.get("dtype", first_type(inputs)))
            return self._write(op, inputs, (out,), part, attrs)
        outputs = self.outputs if to is None else tuple(to)
        activation = FUSED.get(self.option("fused")) if fused else None
        if activation is None:
            return self._write(op, inputs, outputs, "", attrs)
        bare = Tensor(f"{self.label}/{op}", outputs[0].shape, outputs[0].dtype)
        self._write(op, inputs, (bare,), "", attrs)
        return self._write(activation, (bare,), outputs, activation, {})

    def _write(
        self, op: str, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], part: str,
        attrs: dict[str, Any],
    ) -> Tensor:  # fmt: skip
        name = f"{self.name}/{part}" if part else self.name
        if outputs and outputs[0].dtype != first_type(inputs):
            attrs = {"dtype": outputs[0].dtype, **attrs}
        self.append(Node(op, inputs, outputs, attrs, name, module_path(name), self.op))
        return outputs[0] if outputs else Tensor("")

    def movement(self, op: str, *inputs: Tensor | None, **attrs: Any) -> None:
        """A node that only moves data. An attribute that is None is computed at run time."""
        move(self, self.open, op, *inputs, **attrs)

    def unknown(self) -> None:
        """An operator that we have no meaning for: listed, never silently nothing."""
        path = module_path(self.name)
        self.append(Node("unknown", self.inputs, self.outputs, {}, self.name, path, self.op))

    def append(self, *nodes: Node) -> None:
        """Add nodes of any kind."""
        self.block.model.count(nodes)
        self.block.nodes.extend(nodes)

    def subgraph(self, index: int) -> Graph:
        """Another sub-graph of the file, lowered."""
        return self.block.model.subgraph(index)


LOWERINGS: dict[str, Callable[[Native], None]] = {}
lowers = entering(LOWERINGS)


def same_meaning(table: Mapping[str, str]) -> None:
    """Native operators that are one of ours, operand by operand."""
    LOWERINGS.update({native: meaning(op) for native, op in table.items()})
