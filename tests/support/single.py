"""One operator alone: its shapes inferred, its counts."""

from __future__ import annotations

from typing import Any

import numpy

from flopwise.graph import Graph, Node, Tensor
from flopwise.passes.infer import infer

OPEN = "a weight whose shape is to be found"


def single(op: str, *operands: Any, outputs: int = 1, **attrs: Any) -> Node:
    """The node after inference. Operands are shapes, Tensors, None, or OPEN."""
    tensors = tuple(_operand(o, i) for i, o in enumerate(operands))
    made = tuple(Tensor(f"y{i}") for i in range(outputs))
    entering = tuple(t for t in tensors if t is not None and t.role == "input")
    graph = Graph(entering, made, (Node(op, tensors, made, attrs),))
    return infer(graph).nodes[0]


def shapes(op: str, *operands: Any, outputs: int = 1, **attrs: Any) -> list[Any]:
    """The shapes of the outputs of one operator."""
    return [t.shape for t in single(op, *operands, outputs=outputs, **attrs).outputs]


def constant(values: Any, dtype: str = "int64") -> Tensor:
    """A constant operand of these values."""
    array = numpy.array(values, dtype=object)
    return Tensor(f"constant {values}", array.shape, dtype, "constant", value=array)


def _operand(operand: Any, i: int) -> Tensor | None:
    if operand is None or isinstance(operand, Tensor):
        return operand
    if operand is OPEN:
        return Tensor(f"w{i}", role="weight")
    return Tensor(f"x{i}", operand, role="input")
