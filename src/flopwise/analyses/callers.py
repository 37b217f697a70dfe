"""How long Python holds what modules are called with.

`x = self.layer1(x)` binds the result after the call, and so a caller holds the arguments of a
module until it returns, long after the last operator that reads them: a residual block holds its
input while its last normalisation runs. Variables of other names are not seen in a graph: what a
forward keeps in one to its end is let go after its last use.
"""

from __future__ import annotations

from dataclasses import dataclass

from flopwise.analyses.liveness import KEPT
from flopwise.graph import Graph, Node


@dataclass
class _Call:
    """A module's run, from one operator to another; several runs in a row are one."""

    name: str
    start: int
    end: int


def returns(graph: Graph) -> dict[str, int]:
    """By tensor that modules are called with, the last operator of the last of those calls."""
    made: dict[str, int] = {}
    ends: dict[str, int] = {}
    for now, (node, calls) in enumerate(zip(graph.nodes, _calls(graph))):
        for tensor in node.inputs:
            if tensor is not None and tensor.role not in KEPT:
                before = made.get(tensor.name, -1)
                outer = next((call for call in calls if call.start > before), None)
                if outer is not None:
                    ends[tensor.name] = max(ends.get(tensor.name, now), outer.end)
        made |= {t.name: now for t in node.outputs}
    return ends


def _calls(graph: Graph) -> list[tuple[_Call, ...]]:
    """The calls that each operator runs in, outermost first."""
    found: list[tuple[_Call, ...]] = []
    for now, node in enumerate(graph.nodes):
        around = found[-1] if found else ()
        same = _common(around, node)
        inner = tuple(_Call(name, now, now) for name in node.scope[same:])
        for call in around[:same]:
            call.end = now
        found.append((*around[:same], *inner))
    return found


def _common(around: tuple[_Call, ...], node: Node) -> int:
    """How many of the calls go on."""
    pairs = zip(around, node.scope)
    return next((i for i, (c, name) in enumerate(pairs) if c.name != name),
                min(len(around), len(node.scope)))  # fmt: skip
