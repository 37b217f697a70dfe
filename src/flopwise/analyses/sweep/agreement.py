"""Where sizes have to agree for a network to run.

Inference takes a free size that meets a number, or another free size, to be the same. At
given sizes that may be false: a dense layer after an image has the weights of one size of
image, and a sum of two branches wants both to round alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flopwise import ops
from flopwise.analyses.sweep.points import Points
from flopwise.dims import Dim, Expr
from flopwise.errors import ShapeMismatch
from flopwise.graph import Graph, Node, Shape
from flopwise.ops.broadcasting import broadcast
from flopwise.ops.contraction import split_equation
from flopwise.pattern import Pattern

WHOLE = frozenset({"reshape", "flatten", "flatten_to_matrix", "squeeze", "unsqueeze"})


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two sizes that must be equal at every point; `or_one`: the first may also be 1."""

    node: Node
    what: str
    size: Dim
    other: Dim
    or_one: bool = False


def hold(graph: Graph, points: Points) -> None:
    """Raises ShapeMismatch, naming the first point and the layer, where sizes part."""
    seen: set[tuple[Dim, Dim, bool]] = set()
    for node in nodes(graph):
        _positive(node, points)
        for pair in agreements(node):
            key = pair.size, pair.other, pair.or_one
            if pair.size != pair.other and key not in seen:
                seen.add(key)
                _equal(pair, points)


def nodes(graph: Graph) -> Iterator[Node]:
    """Every node, those inside loops and branches too."""
    for node in graph.nodes:
        yield node
        for inner in (node.attrs.get("body"), *node.attrs.get("branches", ())):
            if isinstance(inner, Graph):
                yield from nodes(inner)


def agreements(node: Node) -> Iterator[Agreement]:
    """What a node asks of the sizes of its operands and results."""
    entry = ops.find(node.op)
    if entry is None or not ops.resolved(node):
        return
    if node.op in WHOLE:
        yield Agreement(node, "the number of elements", node.inputs[0].size, node.outputs[0].size)  # type: ignore[union-attr]
    shapes, results = [t.sizes for t in node.inputs if t is not None], node.outputs[0].sizes
    if node.op == "concat":
        yield from _concat(node, shapes)
    elif node.op == "einsum":
        terms, _ = split_equation(node.attrs["equation"], [*map(len, shapes)])
        yield from _einsum(node, terms, shapes)
    elif (spelled := ops.layout(node, entry)) is not None:
        yield from _pattern(node, spelled)
    elif entry.family == "pointwise" and not {"like", "overlap"} & node.attrs.keys():
        yield from _broadcast(node, shapes, results)
    if node.op == "matmul" and len(results) > 2:
        yield from _broadcast(node, [s[:-2] for s in shapes], results[:-2])


def _concat(node: Node, shapes: list[Shape]) -> Iterator[Agreement]:
    axis = node.attrs.get("axis", 1) % (len(shapes[0]) or 1)
    for shape in shapes[1:]:
        for i, (size, other) in enumerate(zip(shape, shapes[0])):
            if i != axis:
                yield Agreement(node, f"axis {i}", size, other)


def _einsum(
    node: Node, terms: list[tuple[str, ...]], shapes: list[Shape]
) -> Iterator[Agreement]:  # fmt: skip
    sizes: dict[str, Dim] = {}
    for axis, size in ((a, s) for t, shape in zip(terms, shapes) for a, s in zip(t, shape)):
        (sizes[axis],) = broadcast((sizes.get(axis, size),), (size,))
    for axis, size in ((a, s) for t, shape in zip(terms, shapes) for a, s in zip(t, shape)):
        yield Agreement(node, f"axis {axis}", size, sizes[axis], or_one=True)


def _pattern(node: Node, spelled: Pattern) -> Iterator[Agreement]:
    first: dict[str, Dim] = {}
    sides = [*zip(spelled.inputs, node.inputs), *zip(spelled.outputs, node.outputs)]
    for operand, tensor in sides:
        spread = operand.spread(len(tensor.sizes)) if tensor is not None else None
        if tensor is None or spread is None:
            continue
        names: list[str] = []
        for axis in operand.axes:
            star = axis.startswith("*")
            names += [f"{axis[1:]}{i + 1}" for i in range(spread)] if star else [axis]
        for name, size in zip(names, tensor.sizes):
            if name.isdigit():
                yield Agreement(node, "an axis", size, int(name))
            elif not name.startswith("_"):
                yield Agreement(node, f"axis {name}", size, first.setdefault(name, size))


def _broadcast(node: Node, shapes: list[Shape], result: Shape) -> Iterator[Agreement]:
    for shape in shapes:
        for i, (size, other) in enumerate(zip(reversed(shape), reversed(result))):
            yield Agreement(node, f"axis {-i - 1}", size, other, or_one=True)


def _equal(pair: Agreement, points: Points) -> None:
    size, other = points.of(pair.size), points.of(pair.other)
    wrong = (size != other) & ((size != 1) if pair.or_one else True)
    if wrong.any():
        place = int(wrong.argmax())
        raise ShapeMismatch(
            f"at {told(points.at(place))}: {pair.node}: {pair.what} is both "
            f"{size[place]} and {other[place]} ({pair.size} and {pair.other})"
        )


def _positive(node: Node, points: Points) -> None:
    entry = ops.find(node.op)
    least = 1 if entry is not None and entry.axes is not None else 0
    for tensor in node.outputs:
        for size in tensor.shape or ():
            if isinstance(size, Expr) and (short := points.of(size) < least).any():
                place = int(short.argmax())
                raise ShapeMismatch(
                    f"at {told(points.at(place))}: {node}: nothing is left, the output has an "
                    f"axis of {points.of(size)[place]} ({size})"
                )


def told(sizes: dict[str, int]) -> str:
    """`batch=1, h=128`."""
    return ", ".join(f"{name}={size}" for name, size in sizes.items())
