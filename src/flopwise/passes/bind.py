"""Give the inputs of a graph the sizes that the user named."""

from __future__ import annotations

from dataclasses import replace

from flopwise.errors import UnknownName, UnknownSize, nearest
from flopwise.frontends import Request
from flopwise.graph import BITS, Graph, Node, Shape, Tensor
from flopwise.pattern import show


def bind(graph: Graph, request: Request) -> Graph:
    """The graph with its input shapes complete.

    A shape may also be given to a tensor inside the graph, past an unknown operator.
    Raises UnknownSize, naming the option to give, and UnknownName.
    """
    wanted = _named(graph, request)
    inner = {t.name for n in graph.nodes for t in n.outputs}
    for name in wanted:
        if name not in inner and name not in {t.name for t in graph.inputs}:
            raise UnknownName(f"no input '{name}'; {nearest(name, [t.name for t in graph.inputs])}")
    inputs = tuple(_input(t, wanted.get(t.name), request) for t in graph.inputs)
    nodes = (
        tuple(_outputs(n, wanted) for n in graph.nodes) if wanted.keys() & inner else graph.nodes
    )
    graph = replace(graph, inputs=inputs, nodes=nodes)
    return cast(graph, request.dtype) if request.dtype else graph


def _named(graph: Graph, request: Request) -> dict[str, Shape]:
    wanted = dict(request.inputs)
    if "" in wanted:
        if len(graph.inputs) != 1:
            names = ", ".join(t.name for t in graph.inputs) or "none"
            raise UnknownName(
                f"a shape without a name, and the inputs are {names}: --input NAME=SHAPE"
            )
        wanted[graph.inputs[0].name] = wanted.pop("")
    return wanted


def _input(tensor: Tensor, shape: Shape | None, request: Request) -> Tensor:
    if shape is not None:
        if tensor.shape == () and len(shape) == 1:
            import numpy

            return replace(tensor, value=numpy.array(shape[0], dtype=object))
        if tensor.shape is not None and len(tensor.shape) != len(shape):
            raise UnknownSize(
                f"input '{tensor.name}' has {len(tensor.shape)} axes, "
                f"{show(tensor.shape)}; {show(shape)} given"
            )
        tensor = replace(tensor, shape=tuple(shape))
    if request.batch is not None and tensor.shape and (shape is None or tensor.shape[0] is None):
        tensor = replace(tensor, shape=(request.batch, *tensor.shape[1:]))
    if not tensor.known:
        known = "x".join("?" if s is None else str(s) for s in tensor.shape or ()) or "?"
        raise UnknownSize(
            f"the size of input '{tensor.name}' ({known}) is not in the model: "
            f"give it, as in --input {tensor.name}=1x3x224x224"
        )
    return tensor


def _outputs(node: Node, wanted: dict[str, Shape]) -> Node:
    return replace(
        node, outputs=tuple(replace(t, shape=wanted.get(t.name, t.shape)) for t in node.outputs)
    )


def cast(graph: Graph, dtype: str) -> Graph:
    """The graph with every 32-bit float in another dtype. Raises UnknownName."""
    if dtype not in BITS or not dtype:
        raise UnknownName(f"no dtype '{dtype}'; {nearest(dtype, [d for d in BITS if d])}")

    return graph.map_tensors(lambda t: replace(t, dtype=dtype) if t.dtype == "float32" else t)
