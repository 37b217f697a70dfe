"""Fill in missing shapes and fold constants, in one walk along the graph.

The two go together: a reshape needs the value of its shape operand, and that value is
folded from shapes. Operands that an operator's pattern can work out (the weights of a
convolution whose input has just become known) are filled in by the same rule.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

from flopwise import ops
from flopwise.dims import Expr
from flopwise.errors import FlopwiseError, ShapeMismatch, UnknownValue, UnreadableModel
from flopwise.graph import Graph, Node, Shape, Tensor
from flopwise.ops import Op
from flopwise.passes.control import Walk, control, notes

Known = MutableMapping[str, Tensor]

LARGEST = 100_000  # nodes inside loops and branches, each as often as it is inferred


def infer(graph: Graph) -> Graph:
    """The graph with every shape known that can be known.

    Raises ShapeMismatch, naming the layer, where shapes cannot fit.
    """
    graph = _Walk()(graph, {})
    return replace(graph, notes=tuple(dict.fromkeys((*graph.notes, *notes(graph)))))


class _Walk:
    """Along a graph, and along those in it: loops ask for theirs again, until shapes settle."""

    def __init__(self) -> None:
        self.inside = 0

    def __call__(self, graph: Graph, known: Known) -> Graph:
        """One graph; inside another, `known` holds what is around it."""
        known.update((t.name, t) for t in graph.inputs)
        nodes = tuple(_infer_node(node, known, graph.declared, self._body) for node in graph.nodes)
        outputs = tuple(known.get(t.name, t) for t in graph.outputs)
        return replace(graph, nodes=nodes, outputs=outputs)

    def _body(self, graph: Graph, known: Known) -> Graph:
        self.inside += len(graph.nodes) + 1
        if self.inside > LARGEST:
            raise UnreadableModel(f"loops in loops take more than {LARGEST:,} steps to unroll")
        return self(graph, known)


def _infer_node(node: Node, known: Known, declared: Mapping[str, Shape], walk: Walk) -> Node:
    inputs = tuple([t and known.get(t.name, t) for t in node.inputs])
    outputs = tuple([known.get(t.name, t) for t in node.outputs])
    node = node.between(inputs, outputs)
    if "branches" in node.attrs or "body" in node.attrs:
        node = control(node, known, walk)
    elif (entry := ops.find(node.op)) is not None:
        try:
            node = _fold(_shape_or_open(node, entry), entry)
        except FlopwiseError as error:
            raise type(error)(f"{node}: {error}") from None
        except (IndexError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise ShapeMismatch(f"{node}: operands do not fit ({error})") from None
    if declared and not all([t.known for t in node.outputs]):
        outputs = tuple(t if t.known else _stated(t, declared) for t in node.outputs)
        node = node.between(node.inputs, outputs)
    for tensor in (*node.inputs, *node.outputs):
        if tensor is not None:
            known[tensor.name] = tensor
    return node


def _stated(tensor: Tensor, declared: Mapping[str, Shape]) -> Tensor:
    """The shape that the file states: it is data, which no rule can tell."""
    return replace(tensor, shape=declared.get(tensor.name, tensor.shape))


def _shape_or_open(node: Node, entry: Op) -> Node:
    """Where sizes are data the node stays open, is listed and not counted."""
    try:
        return _shape(node, entry)
    except UnknownValue:
        return node


def _shape(node: Node, entry: Op) -> Node:
    if ops.resolved(node):
        return node
    data = [t for t in node.inputs if t is not None and t.role != "weight" and t.role != "buffer"]
    if not all(t.known for t in data):
        return node
    spelled = "pattern" in node.attrs or (entry.shape is None and ops.layout(node, entry))
    if entry.axes is not None or spelled:
        return _shape_by_pattern(node, entry)
    if entry.shape is None:
        return node
    found = {"inputs": node.inputs, "outputs": node.outputs, "node": node}
    shapes = ops.call(entry.shape, found, node.attrs)
    return node.between(node.inputs, _shaped(node.outputs, shapes, node, entry))


def _shape_by_pattern(node: Node, entry: Op) -> Node:
    spelled = ops.layout(node, entry)
    assert spelled is not None
    axes = ops.bind(node, entry)
    if entry.axes is not None:
        for axis, size in ops.call(entry.axes, axes, node.attrs).items():
            if isinstance(size, int) and isinstance(axes.get(axis), int) and axes[axis] != size:
                raise ShapeMismatch(
                    f"axis {axis} is both {axes[axis]} and {size} ('{spelled.text}')"
                )
            axes.setdefault(axis, size)
    inputs = list(node.inputs)
    for i, (operand, tensor) in enumerate(zip(spelled.inputs, node.inputs)):
        if tensor is not None and not tensor.known and "*_" not in operand.axes:
            inputs[i] = tensor.shaped(spelled.fill(operand, axes), tensor.dtype)
    shapes = [spelled.fill(operand, axes) for operand in spelled.outputs]
    return node.between(tuple(inputs), _shaped(node.outputs, shapes, node, entry))


def _shaped(
    outputs: Sequence[Tensor], shapes: Sequence[Any], node: Node, entry: Op
) -> tuple[Tensor, ...]:
    dtypes = _dtypes(node, entry)
    for shape in shapes:
        if not all([_is_size(size) for size in shape]):
            raise ShapeMismatch(f"an output of shape {tuple(shape)}")
    filled = [t.shaped(tuple(s), d) for t, s, d in zip(outputs, shapes, dtypes)]
    return (*filled, *outputs[len(filled) :])


def _is_size(size: Any) -> bool:
    """A number from 0 on that 64 bits can hold, a polynomial, or open."""
    return 0 <= size < 2**63 if isinstance(size, int) else size is None or isinstance(size, Expr)


def _dtypes(node: Node, entry: Op) -> tuple[str, ...]:
    """Of the outputs: as the node says (`dtype`, or `dtype_like` an operand), as the operator
    has it, or that of the data."""
    general = entry.dtype
    like = node.attrs.get("dtype_like", general if isinstance(general, int) else None)
    operands = node.inputs if like is None else (node.inputs[like],)
    first = next((t.dtype for t in operands if t is not None), "")
    dtype = node.attrs.get("dtype") or (general if isinstance(general, str) else "") or first
    if isinstance(dtype, tuple):
        return tuple(d or first for d in dtype)
    return (dtype,) * len(node.outputs)


def _fold(node: Node, entry: Op) -> Node:
    if entry.fold is None:
        return node
    found = {"inputs": node.inputs, "outputs": node.outputs, "node": node}
    values = ops.call(entry.fold, found, node.attrs)
    if values is None:
        return node
    folded = tuple(
        replace(t, shape=v.shape, value=v, dtype=t.dtype if t.known else dtype)
        for t, v, dtype in zip(node.outputs, values, _dtypes(node, entry))
    )
    return node.between(node.inputs, (*folded, *node.outputs[len(folded) :]))
