"""Leave out what a deployed graph does not run: identities, dropout, what is constant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flopwise.graph import Graph, Node, Tensor

SAME = frozenset({"identity", "dropout", "stop_gradient"})
FIXED = ("weight", "buffer", "constant")
VALUES = ("constant",)
CHANCE = frozenset({"random", "multinomial"})  # a new value at each run


def drop_identities(graph: Graph) -> Graph:
    """Without identities and dropout: what reads their result reads their operand.

    One whose second output (what dropout kept) is read, or which gives the network's own
    output its name straight from an input, stays.
    """
    used, sources = uses(graph), {t.name for t in graph.inputs}
    results = {t.name for t in graph.outputs}
    renamed: dict[str, Tensor] = {}
    kept = []
    for node in graph.nodes:
        first, out = node.inputs[:1], node.outputs[:1]
        spare = any(t.name in used for t in node.outputs[1:])
        bare = bool(first and out) and first[0] is not None and (
            out[0].name in results and first[0].name in sources
        )  # fmt: skip
        if node.op in SAME and first and first[0] is not None and not spare and not bare:
            renamed[out[0].name] = renamed.get(first[0].name, first[0])
        else:
            kept.append(node)
    slim = replace(graph, nodes=tuple(kept))
    slim = slim.map_tensors(lambda t: renamed.get(t.name, t)) if renamed else slim
    return inside(slim, drop_identities)


def fold_shapes(graph: Graph) -> Graph:
    """Without shape arithmetic and what else follows from shapes and constants alone."""
    return _fold(graph, fold_shapes, VALUES)


def fold_constants(graph: Graph) -> Graph:
    """Without what is computed once, when a model is loaded, and without what nobody reads."""
    return drop_unread(_fold(graph, fold_constants, FIXED))


def _fold(graph: Graph, again: Callable[[Graph], Graph], roles: tuple[str, ...]) -> Graph:
    """Without the operators whose operands are of those roles, or made by such."""
    fixed: dict[str, Tensor] = {}
    kept = []
    for node in graph.nodes:
        if _valued(node) or _fixed(node, fixed, roles):
            given = {_of(t, fixed).role for t in node.inputs if t is not None}
            role = "weight" if "weight" in given else "constant"
            fixed |= {t.name: replace(t, role=role) for t in node.outputs}
        else:
            kept.append(node)
    slim = replace(graph, nodes=tuple(kept))
    slim = slim.map_tensors(lambda t: fixed.get(t.name, t)) if fixed else slim
    return inside(slim, again)


def drop_unread(graph: Graph) -> Graph:
    """Without operators whose results nobody reads."""
    used = uses(graph)
    kept = []
    for node in reversed(graph.nodes):
        if any(used.get(t.name) for t in node.outputs) or not node.outputs:
            kept.append(node)
            continue
        for tensor in read(node):
            used[tensor.name] -= 1
    return replace(graph, nodes=tuple(reversed(kept)))


def _of(tensor: Tensor, fixed: dict[str, Tensor]) -> Tensor:
    return fixed.get(tensor.name, tensor)


def _valued(node: Node) -> bool:
    """Whether inference knows the values of all results."""
    return bool(node.outputs) and all(t.value is not None for t in node.outputs)


def _fixed(node: Node, fixed: dict[str, Tensor], roles: tuple[str, ...]) -> bool:
    """Whether all operands are there before the network runs."""
    if node.op in CHANCE or "body" in node.attrs or "branches" in node.attrs:
        return False
    given = [t for t in node.inputs if t is not None]
    return bool(given) and all(_of(t, fixed).role in roles for t in given)


def uses(graph: Graph) -> dict[str, int]:
    """How often each tensor is read, as an output of the graph and inside sub-graphs too."""
    found = {t.name: 1 for t in graph.outputs}
    for node in graph.nodes:
        for tensor in read(node):
            found[tensor.name] = found.get(tensor.name, 0) + 1
    return found


def read(node: Node) -> list[Tensor]:
    """The tensors that a node reads, once per operand; those that its sub-graphs read too."""
    found = [t for t in node.inputs if t is not None]
    for body in bodies(node):
        found += [t for n in body.nodes for t in read(n)] + [*body.outputs]
    return found


def bodies(node: Node) -> tuple[Graph, ...]:
    """The sub-graphs of a loop or a branch."""
    body = node.attrs.get("body")
    return (*node.attrs.get("branches", ()), *((body,) if body is not None else ()))


def inside(graph: Graph, step: Callable[[Graph], Graph]) -> Graph:
    """The graph with a pass done on its sub-graphs."""
    if not any(map(bodies, graph.nodes)):
        return graph

    def attribute(value: Any) -> Any:
        if isinstance(value, Graph):
            return step(value)
        whole = isinstance(value, tuple) and value and isinstance(value[0], Graph)
        return tuple(map(step, value)) if whole else value

    nodes = tuple(
        replace(n, attrs={k: attribute(v) for k, v in n.attrs.items()}) if bodies(n) else n
        for n in graph.nodes
    )
    return replace(graph, nodes=nodes)
