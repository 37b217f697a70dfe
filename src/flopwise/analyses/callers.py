"""How long Python holds what modules are called with.

`x = self.layer1(x)` binds the result after the call, and so a caller holds the arguments of a
module until it returns, long after the last operator that reads them: a residual block holds its
input while its last normalisation runs. Variables are not seen in a graph: what a forward keeps in
one of its own to its end is let go after its last use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from flopwise.analyses.liveness import KEPT
from flopwise.graph import Graph


@dataclass
class _Call:
    """A module's run up to its last operator; several runs in a row are one."""

    name: str
    end: int


def returns(graph: Graph) -> dict[str, int]:
    """By tensor that modules are called with, the last operator of the last of those calls."""
    made: dict[str, tuple[str, ...]] = {}  # in which module; inputs in none
    ends: dict[str, int] = {}
    for now, (node, calls) in enumerate(zip(graph.nodes, _calls(graph))):
        for tensor in node.inputs:
            if tensor is not None and tensor.role not in KEPT:
                entered = calls[_shared(made.get(tensor.name, ()), node.scope) :]
                if entered:
                    ends[tensor.name] = max(ends.get(tensor.name, now), entered[0].end)
        made |= {t.name: node.scope for t in node.outputs}
    return ends


def _calls(graph: Graph) -> list[tuple[_Call, ...]]:
    """The calls that each operator runs in, outermost first."""
    found: list[tuple[_Call, ...]] = []
    for now, node in enumerate(graph.nodes):
        around = found[-1] if found else ()
        same = _shared([call.name for call in around], node.scope)
        inner = tuple(_Call(name, now) for name in node.scope[same:])
        for call in around[:same]:
            call.end = now
        found.append((*around[:same], *inner))
    return found


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many names two paths begin with alike."""
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(one, other))
    return sum(1 for _ in alike)
