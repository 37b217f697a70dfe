"""Tensor, Node, Graph: what every format is lowered to. Frozen, framework-free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeAlias

from flopwise.dims import Dim, at, ceildiv, prod

Shape: TypeAlias = tuple[Dim, ...]
Condition: TypeAlias = tuple[Callable[[Any, Any], bool], Dim, Dim]

BITS = {
    "bool": 8, "uint1": 1, "int2": 2, "uint2": 2, "uint3": 3, "int4": 4, "uint4": 4, "float4": 4,
    "nf4": 4, "float6": 6, "uint6": 6,
    "int8": 8, "uint8": 8, "float8": 8, "int16": 16, "uint16": 16, "float16": 16, "bfloat16": 16,
    "int32": 32, "uint32": 32, "float32": 32, "int64": 64, "uint64": 64, "float64": 64,
    "complex32": 32, "complex64": 64, "complex128": 128, "string": 0, "": 32,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value that flows between nodes.

    `shape` is None, and single axes may be None, as long as they are not known.
    `role` is input, weight (learned, or stored with the learned), buffer (running
    statistics kept apart), constant, or activation. `value` holds a small constant as
    a numpy array, for shape arithmetic. `stored` is the bytes that a file keeps it in, where
    packing (blocks with scales) makes them other than elements times bits.
    """

    name: str
    shape: tuple[Dim | None, ...] | None = None
    dtype: str = "float32"
    role: str = "activation"
    trainable: bool = True
    value: Any = field(default=None, compare=False, repr=False)
    stored: Dim | None = None

    @property
    def known(self) -> bool:
        return self.shape is not None and None not in self.shape

    def shaped(self, shape: tuple[Dim | None, ...], dtype: str) -> Tensor:
        """The tensor with another shape and dtype (`replace`, at half its time: inference does
        little else)."""
        kept = self.role, self.trainable, self.value, self.stored
        return Tensor(self.name, shape, dtype, *kept)

    @property
    def sizes(self) -> Shape:
        """The shape of a tensor whose shape is known."""
        return self.shape or ()  # type: ignore[return-value]

    @property
    def size(self) -> Dim:
        """The number of elements; the shape must be known."""
        return _product(self.sizes)

    @property
    def bytes(self) -> Dim:
        if self.stored is not None:
            return self.stored
        bits = BITS[self.dtype]
        return self.size * (bits // 8) if bits % 8 == 0 else ceildiv(self.size * bits, 8)


@lru_cache(maxsize=4096)
def _product(shape: Shape) -> Dim:
    """Few of the shapes of a network differ, and products of letters take long."""
    size: Dim = prod(shape)
    return size


@dataclass(frozen=True, slots=True)
class Node:
    """One operator. `op` is a word of our vocabulary, `origin` the native one and its place.

    An input is None where an optional operand is absent. `scope` is the module path,
    outermost first. Control flow keeps its bodies in `attrs` as graphs: `body` with
    a `repeat` count, or `branches`, of which the dearest is counted.
    """

    op: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    scope: tuple[str, ...] = ()
    origin: str = ""

    def between(self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> Node:
        """The node with other tensors around it."""
        return Node(self.op, inputs, outputs, self.attrs, self.name, self.scope, self.origin)

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """The learned operands."""
        return tuple(t for t in self.inputs if t is not None and t.role == "weight")

    def __str__(self) -> str:
        return f"{self.name or self.op} ({self.origin or self.op})"


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in an order in which they can run.

    `weights` lists learned tensors that no node uses, so that parameters stay true. A
    `traced` graph has the sizes of the run it was written down from, and no others.
    `declared` holds shapes that a file states of tensors inside, by name: they stand
    where inference ends, at sizes that are data, and nowhere else. `tied` gives other
    names of a weight; `active` how many elements of a weight one token uses, where it is
    not all (experts); `config` the hyperparameters that a format states beside the graph;
    `orders` the axes of tensors that lie in another order, outermost in memory first;
    `conditions` what a trace with free sizes took as true of them.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    name: str = ""
    format: str = ""
    weights: tuple[Tensor, ...] = ()
    notes: tuple[str, ...] = ()
    traced: bool = False
    declared: Mapping[str, Shape] = field(default_factory=dict, compare=False, repr=False)
    tied: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    active: Mapping[str, Dim] = field(default_factory=dict, compare=False, repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    orders: Mapping[str, tuple[int, ...]] = field(default_factory=dict, compare=False, repr=False)
    conditions: tuple[Condition, ...] = field(default=(), compare=False, repr=False)

    def holds(self, **sizes: int) -> bool:
        """Whether what was taken as true of free sizes is so at these; a ZeroDivisionError where
        a size is divided by one that is 0 there."""
        return all(compare(at(a, sizes), at(b, sizes)) for compare, a, b in self.conditions)

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor once, by name, in order of first appearance."""
        seen: set[str] = set()
        groups = (self.inputs, *((*n.inputs, *n.outputs) for n in self.nodes), self.weights)
        for tensor in (t for group in groups for t in group if t is not None):
            if tensor.name not in seen:
                seen.add(tensor.name)
                yield tensor

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> Graph:
        """The graph with every tensor changed, in sub-graphs too."""

        def each(tensors: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(t and change(t) for t in tensors)

        def inner(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(inner, value))
            return value.map_tensors(change) if isinstance(value, Graph) else value

        nodes = tuple(
            replace(
                n,
                inputs=each(n.inputs),
                outputs=each(n.outputs),
                attrs={k: inner(v) for k, v in n.attrs.items()},
            )
            for n in self.nodes
        )
        return replace(
            self,
            inputs=each(self.inputs),
            outputs=each(self.outputs),
            weights=each(self.weights),
            nodes=nodes,
        )


def every_tensor(graph: Graph) -> Iterator[Tensor]:
    """The tensors of a graph and of the graphs inside it, each once."""
    seen: set[str] = set()
    stack = [graph]
    while stack:
        current = stack.pop()
        for tensor in current.tensors():
            if tensor.name not in seen:
                seen.add(tensor.name)
                yield tensor
        for node in current.nodes:
            stack += (*node.attrs.get("branches", ()), *filter(None, (node.attrs.get("body"),)))
