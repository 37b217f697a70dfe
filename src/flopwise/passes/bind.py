"""Give the inputs of a graph the sizes that the user named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flopwise import dims
from flopwise.dims import Dim, Expr, symbol
from flopwise.errors import UnknownName, UnknownSize, nearest, some
from flopwise.frontends import Request, matches
from flopwise.graph import BITS, Graph, Node, Shape, Tensor
from flopwise.pattern import show


def bind(graph: Graph, request: Request) -> Graph:
    """The graph with its input shapes complete.

    A shape may also be given to a tensor inside the graph, past an unknown operator, and to
    all inputs that a name with `*` matches.
    Raises UnknownSize, naming the option to give, and UnknownName.
    """
    if graph.traced:
        return cast(graph, request.dtype) if request.dtype else graph
    wanted = _named(graph, request)
    inner = {t.name for n in graph.nodes for t in n.outputs}
    for name in wanted:
        if name not in inner and name not in {t.name for t in graph.inputs}:
            raise UnknownName(f"no input '{name}'; {nearest(name, [t.name for t in graph.inputs])}")
    everywhere = not any(map(_free, graph.inputs))
    graph = _stated(graph, wanted, solve(graph.inputs, wanted, request.batch))
    inputs = tuple(_input(t, wanted.get(t.name), request.batch, everywhere) for t in graph.inputs)
    nodes = (
        tuple(_outputs(n, wanted) for n in graph.nodes) if wanted.keys() & inner else graph.nodes
    )
    graph = replace(graph, inputs=inputs, nodes=nodes)
    return cast(graph, request.dtype) if request.dtype else graph


def _named(graph: Graph, request: Request) -> dict[str, Shape]:
    wanted: dict[str, Shape] = {}
    for name, shape in request.inputs.items():
        alike = [t.name for t in graph.inputs if matches(name, t.name)]
        wanted |= dict.fromkeys(alike or [name], shape)
    if "" in wanted:
        if len(graph.inputs) != 1:
            names = some([t.name for t in graph.inputs], most=8)
            raise UnknownName(
                f"a shape without a name, and the inputs are {names}: --input NAME=SHAPE"
            )
        wanted[graph.inputs[0].name] = wanted.pop("")
    if request.batch is not None:
        outer = {t.name for t in graph.inputs}
        wanted |= {n: batched(n, s, request.batch) for n, s in wanted.items() if n in outer}
    return wanted


def batched(name: str, shape: Shape, batch: Dim) -> Shape:
    """A given shape at a given batch: a first axis of 1 takes it. Raises UnknownSize where
    the two contradict each other."""
    if len(shape) < 2 or shape[0] == batch:
        return shape
    if shape[0] != 1:
        raise UnknownSize(f"input '{name}' is given as {show(shape)}, and the batch as {batch}")
    return (batch, *shape[1:])


def solve(inputs: Sequence[Tensor], wanted: Mapping[str, Any], batch: Any) -> dict[str, Any]:
    """The symbols that given shapes, and the batch, give a size to. Raises UnknownSize."""
    sizes: dict[str, Any] = {}
    for tensor in inputs:
        if tensor.name not in wanted and batch is not None and _free(tensor):
            wanted = {**wanted, tensor.name: (batch, *(tensor.shape or ())[1:])}
        for axis, size in zip(tensor.shape or (), wanted.get(tensor.name, ())):
            name = str(axis)
            if axis == size or axis != symbol(name):
                continue  # only a lone symbol can be solved for
            if sizes.setdefault(name, size) != size:
                raise UnknownSize(
                    f"input '{tensor.name}': '{name}' is given as both {sizes[name]} and {size}"
                )
    return sizes


def _free(tensor: Tensor) -> bool:
    """Whether the first axis is a symbol."""
    return bool(tensor.shape) and isinstance(tensor.shape[0], Expr)  # type: ignore[index]


def _stated(graph: Graph, wanted: Mapping[str, Shape], sizes: dict[str, Any]) -> Graph:
    """The shapes that the file states, at the sizes that are given. Where the user gives
    another number than the file, what it states of tensors inside holds no longer."""
    given = [(t.shape, wanted[t.name]) for t in graph.inputs if t.name in wanted]
    other = any(
        isinstance(a, int) and a != b for old, new in given if old for a, b in zip(old, new)
    )
    if not sizes and not other:
        return graph
    inputs = tuple(
        t if t.name in wanted or not t.shape
        else replace(t, shape=tuple(dims.at(a, sizes) for a in t.shape)) for t in graph.inputs
    )  # fmt: skip
    declared: Mapping[str, Shape] = {} if other else Placed(graph.declared, sizes)
    return replace(graph, inputs=inputs, declared=declared)


class Placed(Mapping[str, Shape]):
    """Stated shapes at given sizes, worked out when they are asked for, which few are."""

    def __init__(self, stated: Mapping[str, Shape], sizes: Mapping[str, Any]) -> None:
        self.stated, self.sizes = stated, sizes

    def __getitem__(self, name: str) -> Shape:
        return tuple(dims.at(axis, self.sizes) for axis in self.stated[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.stated)

    def __len__(self) -> int:
        return len(self.stated)


def _input(tensor: Tensor, shape: Shape | None, batch: Any, everywhere: bool) -> Tensor:
    """One input at the shape given. The batch goes to first axes that are open, or, where
    none of the inputs has a symbol there, to `everywhere`."""
    if shape is not None:
        if tensor.shape == () and len(shape) == 1:
            import numpy

            return replace(tensor, value=numpy.array(shape[0], dtype=object))
        if tensor.shape is not None and len(tensor.shape) != len(shape):
            raise UnknownSize(
                f"input '{tensor.name}' has {len(tensor.shape)} axes, "
                f"{_known(tensor)}; {show(shape)} given"
            )
        tensor = replace(tensor, shape=tuple(shape))
    first = tensor.shape[0] if tensor.shape else 0
    if batch is not None and tensor.shape and (first is None or (everywhere and shape is None)):
        tensor = replace(tensor, shape=(batch, *tensor.shape[1:]))
    if not tensor.known:
        raise UnknownSize(
            f"the size of input '{tensor.name}' ({_known(tensor)}) is not in the model: "
            f"give it, as in --input {tensor.name}={_example(tensor)}"
        )
    return tensor


def _known(tensor: Tensor) -> str:
    return "x".join("?" if s is None else str(s) for s in tensor.shape or ()) or "?"


def _example(tensor: Tensor) -> str:
    """A shape that could be given: what is known, and an image's size for the rest."""
    shape = tensor.shape or (None,) * 4
    image = (1, 3, 224, 224) if len(shape) == 4 and shape[3] not in (1, 3) else (1, *[224] * 9)
    return "x".join(str(s or size) for s, size in zip(shape, image))


def _outputs(node: Node, wanted: dict[str, Shape]) -> Node:
    return replace(
        node, outputs=tuple(replace(t, shape=wanted.get(t.name, t.shape)) for t in node.outputs)
    )


def cast(graph: Graph, dtype: str) -> Graph:
    """The graph with every 32-bit float in another dtype. Raises UnknownName."""
    if dtype not in BITS or not dtype:
        raise UnknownName(f"no dtype '{dtype}'; {nearest(dtype, [d for d in BITS if d])}")

    return graph.map_tensors(lambda t: replace(t, dtype=dtype) if t.dtype == "float32" else t)
