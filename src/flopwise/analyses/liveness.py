"""Which storages are there while each operator runs.

A tensor lives from the operator that makes it to the last one that reads it. Views share the
storage of what they look at; an operator written in place takes over that of its operand, and
one that may `reuse` it does so where the operand dies there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from flopwise import ops
from flopwise.dims import Dim
from flopwise.graph import Graph, Node, Tensor

KEPT = ("weight", "buffer", "constant")
ELSEWHERE = ""  # the storage of a view of what is kept: not counted again


@dataclass(frozen=True, slots=True)
class Instant:
    """The operator that runs, the bytes alive while it does, and in which storages they are
    (a dict that goes on changing: copy it to keep it). `workspace` is what the operator itself
    needs besides, and is among the bytes."""

    index: int
    node: Node
    bytes: Dim
    live: Mapping[str, Dim]
    workspace: Dim = 0


@dataclass
class _Storages:
    """What lives, under the name of the tensor that made it, and until when."""

    last: Mapping[str, int]
    homes: dict[str, str] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    live: dict[str, Dim] = field(default_factory=dict)
    due: dict[int, list[str]] = field(default_factory=dict)
    total: Dim = 0

    def enter(self, tensor: Tensor, home: str, now: int) -> None:
        self.homes[tensor.name] = home
        if home == ELSEWHERE:
            return
        if home not in self.live:
            self.live[home] = tensor.bytes if tensor.known else 0
            self.total = self.total + self.live[home]
        self.ends[home] = max(self.ends.get(home, now), self.last.get(tensor.name, now))
        self.due.setdefault(self.ends[home], []).append(home)

    def release(self, now: int) -> None:
        """What ends here, unless a view of it lives on."""
        for home in self.due.pop(now, ()):
            if home in self.live and self.ends[home] <= now:
                self.total = self.total - self.live.pop(home)


def walk(
    graph: Graph, held: bool = False, until: Mapping[str, int] | None = None
) -> Iterator[Instant]:
    """Each operator in turn. With `held` the inputs of the graph stay to the end, as with a
    caller that keeps them; other tensors at least `until` the operator that it gives."""
    storages = _Storages(_last_uses(graph, held, until or {}))
    for tensor in graph.inputs:
        storages.enter(tensor, tensor.name, -1)
    for i, node in enumerate(graph.nodes):
        for output in node.outputs:
            if output.known:
                storages.enter(output, _home(node, output, storages, i), i)
        own: Dim = node.attrs.get("workspace", 0)
        yield Instant(i, node, storages.total + own, storages.live, own)
        storages.release(i)


def _home(node: Node, output: Tensor, storages: _Storages, now: int) -> str:
    """The storage that an output lives in: its own, or that of an operand."""
    entry = ops.find(node.op)
    first = next((t for t in node.inputs if t is not None), None)
    if first is None or entry is None:
        return output.name
    view = entry.view or bool(node.attrs.get("view"))
    if first.role in KEPT:
        return ELSEWHERE if view else output.name
    if first.name not in storages.homes:
        return output.name
    held = storages.homes[first.name]
    if view or node.attrs.get("inplace"):
        return held
    dies = storages.ends.get(held, -1) <= now and storages.live.get(held) == output.bytes
    return held if node.attrs.get("reuse") and dies else output.name


def _last_uses(graph: Graph, held: bool, until: Mapping[str, int]) -> dict[str, int]:
    """The last operator that reads each tensor; outputs outlive them all."""
    last: dict[str, int] = {}
    for i, node in enumerate(graph.nodes):
        for tensor in node.inputs:
            if tensor is not None and tensor.role not in KEPT:
                last[tensor.name] = i
    last |= {name: max(end, last.get(name, end)) for name, end in until.items()}
    kept = (*graph.outputs, *graph.inputs) if held else graph.outputs
    return last | {t.name: len(graph.nodes) for t in kept}
