"""Which buffers onnxruntime gives to results, and how long it holds them.

It plans before it runs (ComputeSingleStreamReusePlan in onnxruntime/core/framework/
allocation_planner.cc, 1.31). A result takes the buffer of an operand where the kernel may work
in place and nobody reads that operand later; else the buffer that fell free last of all those of
its very shape; else a new one. A buffer is held from its first tensor to its last, and between
them too: nothing else can have it where a tensor of another shape is what is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from flopwise.analyses.liveness import KEPT, Instant
from flopwise.analyses.scratch import BLOCK, joined
from flopwise.dims import Dim, ceildiv, prod
from flopwise.graph import BITS, Graph, Node, Shape, Tensor

# What is another tensor with the bytes of an operand (slices and parts are copies).
ALIASES = {
    "identity", "dropout", "stop_gradient", "reshape", "flatten", "flatten_to_matrix", "squeeze",
    "unsqueeze",
}  # fmt: skip
# Kernels that may write onto their first operand: of chains of one operator these hold one
# tensor. Arithmetic, gelu, erf, sqrt, normalisations and others hold two.
IN_PLACE = {
    "relu", "sigmoid", "tanh", "elu", "leaky_relu", "softplus", "hard_sigmoid", "clip", "selu",
    "softsign", "thresholded_relu", "celu", "softmax", "log_softmax", "triangle",
}  # fmt: skip
CONVOLUTIONS = ("conv", "scale")  # which add onto a further operand where it lies


@dataclass(eq=False)
class _Buffer:
    """The storage of one or more tensors, under the name of the first, from the operator
    `start` to the operator `end`; `uses` are those that are still to come."""

    name: str
    shape: Shape | None
    bits: int
    bytes: Dim
    start: int
    end: int
    uses: int = 0


@dataclass
class _Plan:
    """`uses` counts what reads a tensor, the operator that makes it, and a caller who keeps it.
    A tensor without a buffer is kept apart from the plan: a weight, or a view of one."""

    uses: Counter[str]
    outputs: frozenset[str]
    block: int
    buffers: dict[str, _Buffer] = field(default_factory=dict)
    free: dict[tuple[Shape | None, int], list[_Buffer]] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)

    def place(self, node: Node, tensor: Tensor, now: int) -> None:
        """Give a result its buffer: that of an operand, one that is free, or a new one."""
        shape, size = self._size(tensor)
        found = None
        if tensor.name not in self.outputs:
            if node.op in ALIASES and "sums" not in node.attrs:
                found = self.buffers.get(node.inputs[0].name) if node.inputs[0] else None
                if found is None:
                    return
            found = found or self._overwritten(node, tensor) or self._freed(tensor, shape)
        if found is None:
            found = _Buffer(tensor.name, shape, BITS[tensor.dtype], size, now, now)
        self.buffers[tensor.name] = found
        found.uses += self.uses[tensor.name]
        found.end = max(found.end, now)

    def _overwritten(self, node: Node, tensor: Tensor) -> _Buffer | None:
        """The buffer of an operand of the same shape that nobody reads later."""
        for operand in _targets(node):
            found = self.buffers.get(operand.name)
            same = tensor.known and self._size(operand) == self._size(tensor)
            if found is not None and found.uses == 1 and same:
                return found
        return None

    def _freed(self, tensor: Tensor, shape: Shape | None) -> _Buffer | None:
        """The buffer of this shape that fell free last. A single number gets one of its own."""
        fitting = self.free.get((shape, BITS[tensor.dtype])) if shape else None
        return fitting.pop() if fitting else None

    def _size(self, tensor: Tensor) -> tuple[Shape | None, Dim]:
        """The shape as it is stored, with whole blocks of channels, and its bytes."""
        if not tensor.known:
            return None, 0
        shape = tensor.sizes
        if tensor.name not in self.blocked or len(shape) < 2:
            return shape, tensor.bytes
        shape = (shape[0], ceildiv(shape[1], self.block) * self.block, *shape[2:])
        return shape, prod(shape) * (BITS[tensor.dtype] // 8)

    def use(self, name: str, now: int) -> None:
        """One of the uses of a tensor is over."""
        buffer = self.buffers.get(name)
        if buffer is None:
            return
        buffer.uses -= 1
        buffer.end = now
        if buffer.uses == 0:
            self.free.setdefault((buffer.shape, buffer.bits), []).append(buffer)


def walk(graph: Graph) -> Iterator[Instant]:
    """Each kernel in turn, with the buffers that are held while it runs; the inputs of the graph
    stay to the end, since its caller keeps them."""
    graph = joined(graph)
    starts, ends = _spans(graph)
    live = {t.name: t.bytes if t.known else 0 for t in graph.inputs}
    total = sum(live.values(), 0)
    for i, node in enumerate(graph.nodes):
        for buffer in starts.get(i, ()):
            live[buffer.name] = buffer.bytes
            total = total + buffer.bytes
        own: Dim = node.attrs.get("workspace", 0)
        yield Instant(i, node, total + own, live, own)
        for buffer in ends.get(i, ()):
            total = total - live.pop(buffer.name)


def _spans(graph: Graph) -> tuple[dict[int, list[_Buffer]], dict[int, list[_Buffer]]]:
    """The buffers by the operator that first needs them, and by the last."""
    plan = _planned(graph)
    starts: dict[int, list[_Buffer]] = {}
    ends: dict[int, list[_Buffer]] = {}
    for buffer in dict.fromkeys(plan.buffers.values()):
        if buffer.start >= 0:
            starts.setdefault(buffer.start, []).append(buffer)
            ends.setdefault(buffer.end, []).append(buffer)
    return starts, ends


def _planned(graph: Graph) -> _Plan:
    uses = Counter(t.name for t in (*graph.inputs, *graph.outputs))
    for node in graph.nodes:
        uses.update(t.name for t in (*node.inputs, *node.outputs) if t is not None)
    blocks = [n.attrs[BLOCK] for n in graph.nodes if BLOCK in n.attrs]
    plan = _Plan(uses, frozenset(t.name for t in graph.outputs), min(blocks, default=1))
    for tensor in graph.inputs:
        own = _Buffer(tensor.name, None, BITS[tensor.dtype], 0, -1, -1, uses[tensor.name])
        plan.buffers[tensor.name] = own
    for now, node in enumerate(graph.nodes):
        _step(plan, node, now)
    for tensor in graph.outputs:
        if tensor.name in plan.buffers:
            plan.buffers[tensor.name].end = len(graph.nodes)  # after all others
    return plan


def _step(plan: _Plan, node: Node, now: int) -> None:
    """Place the results of one operator, then free what it was the last to need."""
    read = [t for t in node.inputs if t is not None]
    if BLOCK in node.attrs or (node.op != "copy" and any(t.name in plan.blocked for t in read)):
        plan.blocked |= {t.name for t in node.outputs}
    for tensor in node.outputs:
        plan.place(node, tensor, now)
    for tensor in (*read, *node.outputs):
        plan.use(tensor.name, now)


def _targets(node: Node) -> list[Tensor]:
    """The operands that a kernel may write its result onto."""
    flowing = [t for t in node.inputs if t is not None and t.role not in KEPT]
    if "sums" in node.attrs:
        return [t for t in flowing if t.name in node.attrs["sums"]]
    if node.op in CONVOLUTIONS:
        return flowing[1:]
    return flowing[:1] if node.op in IN_PLACE else []
