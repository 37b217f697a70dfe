"""Which parts of a forward are run again in the backward, so that less of it is kept.

    none       everything that a gradient needs is kept
    block      each repeated block of the network keeps its inputs alone (Chen et al. 2016)
    selective  each block keeps its inputs and the results of its contractions; what is cheap to
               compute (activations, norms, dropout) is run again
    attention  only scores, softmax and dropout of attention run again (Korthikanti et al. 2022, §5)

Blocks are the repeated modules of a module path. A file without modules is cut in the square root
of its number of contractions, where one tensor alone crosses: Chen et al. 2016, algorithm 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isqrt

from flopwise import ops
from flopwise.errors import FlopwiseError, UnknownName, nearest
from flopwise.graph import Graph, Node, Tensor
from flopwise.passes.backward import Segment

CHECKPOINTING = ("none", "block", "selective", "attention")
PRODUCTS = frozenset({"contraction", "attention", "recurrent"})
Span = tuple[int, int]
_NUMBERED = re.compile(r"(.*?)(\d+)$")
KEPT = ("weight", "buffer", "constant")


def segments(graph: Graph, how: str) -> tuple[Segment, ...]:
    """What runs again under one of CHECKPOINTING. Raises UnknownName, and FlopwiseError where
    nothing of the kind is found."""
    if how not in CHECKPOINTING:
        known = [*CHECKPOINTING, "optimal"]  # for a budget: analyses.training_memory.optimal
        raise UnknownName(f"no checkpointing '{how}'; {nearest(how, known)}")
    if how == "none":
        return ()
    if how == "attention":
        found = tuple(Segment(start, stop) for start, stop in cores(graph))
        if not found:
            raise FlopwiseError("no attention to run again: --checkpoint block or selective")
        return found
    spans = blocks(graph)
    if how == "block":
        return tuple(Segment(start, stop) for start, stop in spans)
    return tuple(Segment(a, b, stored(graph.nodes[a:b])) for a, b in spans)


def stored(nodes: Sequence[Node]) -> frozenset[str]:
    """The results of contractions, which are dear to compute again."""
    return frozenset(t.name for n in nodes if product(n) for t in n.outputs)


def product(node: Node) -> bool:
    """Whether a node multiplies matrices."""
    entry = ops.find(node.op)
    return entry is not None and entry.family in PRODUCTS


def blocks(graph: Graph) -> tuple[Span, ...]:
    """The nodes of each block, from the first up to the last. Raises FlopwiseError."""
    found = _modules(graph) or _roots(graph)
    if not found:
        raise FlopwiseError(
            f"{graph.name or 'the model'}: no repeated blocks, and no place that one tensor alone "
            "crosses: nothing to checkpoint"
        )
    return tuple(found)


@dataclass
class _Module:
    """A part of the module tree: the nodes in it and below."""

    places: list[int] = field(default_factory=list)
    parts: dict[str, _Module] = field(default_factory=dict)
    products: int = 0

    @property
    def span(self) -> Span:
        return min(self.places), max(self.places) + 1


def _tree(graph: Graph) -> _Module:
    root = _Module()
    for i, node in enumerate(graph.nodes):
        here, weight = root, int(product(node))
        for name in ("", *node.scope):
            here = here.parts.setdefault(name, _Module()) if name else here
            here.places.append(i)
            here.products += weight
    return root


def _modules(graph: Graph) -> list[Span]:
    """The innermost numbered modules that follow each other and hold several contractions."""
    return sorted(span for span in _inside(_tree(graph), graph))


def _inside(module: _Module, graph: Graph) -> Iterator[Span]:
    """Below each module: its blocks where it is a list of them, else those of its parts."""
    listed = {id(part) for group in _groups(module) if _follow(group, graph) for part in group}
    for part in module.parts.values():
        inner = list(_inside(part, graph))
        if inner:
            yield from inner
        elif id(part) in listed and part.products > 1:
            yield part.span


def _groups(module: _Module) -> Iterator[list[_Module]]:
    """Parts that are named alike but for a number, where half of them and more hold several
    contractions: layers.0, layers.1, … or stage1, stage2, …"""
    named: dict[str, list[_Module]] = {}
    for name, part in module.parts.items():
        if (match := _NUMBERED.match(name)) is not None:
            named.setdefault(match[1], []).append(part)
    for group in named.values():
        if len(group) > 1 and 2 * sum(p.products > 1 for p in group) >= len(group):
            yield group


def _follow(group: Sequence[_Module], graph: Graph) -> bool:
    """Whether each comes after the one before and the last reads what the first has a part in:
    experts and heads side by side are no blocks."""
    spans = sorted(part.span for part in group)
    if any(a[1] > b[0] for a, b in pairwise(spans)):
        return False
    reached = {t.name for i in range(*spans[0]) for t in graph.nodes[i].outputs}
    for node in graph.nodes[spans[0][1] : spans[-1][0]]:
        if any(t is not None and t.name in reached for t in node.inputs):
            reached.update(t.name for t in node.outputs)
    last = graph.nodes[slice(*spans[-1])]
    return any(t is not None and t.name in reached for n in last for t in n.inputs)


def _roots(graph: Graph) -> list[Span]:
    """√n parts of as many contractions each; the last runs only once."""
    cuts = set(crossings(graph))
    total = sum(map(product, graph.nodes))
    if not cuts or total < 4:
        return []
    each, found, start, seen, latest = total / isqrt(total), list[Span](), 0, 0, 0
    for i, node in enumerate(graph.nodes):
        latest = i if i in cuts else latest
        seen += product(node)
        if seen > each * (len(found) + 1) and latest > start:
            found.append((start, latest))
            start = latest
    return found


def crossings(graph: Graph) -> Iterator[int]:
    """Before which nodes one tensor alone goes on, beside the inputs of the network."""
    last: dict[str, int] = {t.name: len(graph.nodes) for t in graph.outputs}
    for i, node in enumerate(graph.nodes):
        moving = [t for t in node.inputs if t is not None and t.role not in KEPT]
        last |= {t.name: max(i, last.get(t.name, i)) for t in moving}
    inputs, alive = {t.name for t in graph.inputs}, set[str]()
    for i, node in enumerate(graph.nodes):
        alive |= {t.name for t in node.outputs if last.get(t.name, i) > i}
        alive -= {t.name for t in node.inputs if t is not None and last.get(t.name) == i}
        if len(alive - inputs) == 1 and i + 1 < len(graph.nodes):
            yield i + 1


def _moves(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.role not in KEPT


def cores(graph: Graph) -> Iterator[Span]:
    """Attention proper: one operator, or from the product of queries and keys to that with the
    values, both of two activations with a softmax between them."""
    begin, soft = -1, False
    for i, node in enumerate(graph.nodes):
        if node.op in ("attention", "multi_head_attention"):
            yield i, i + 1
        elif node.op in ("matmul", "einsum") and all(map(_moves, node.inputs)):
            if begin >= 0 and soft:
                yield begin, i + 1
                begin, soft = -1, False
            else:
                begin, soft = i, False
        elif node.op == "softmax":
            soft = True
        elif product(node):
            begin, soft = -1, False
