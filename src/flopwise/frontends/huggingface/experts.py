"""Mixture of experts: what one token uses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from flopwise.graph import Graph, Node, Tensor, every_tensor

Scope = tuple[str, ...]


def active(graph: Graph) -> tuple[dict[str, int], tuple[str, ...]]:
    """Elements of each stack of experts that one token uses, and a sentence on it."""
    modules: dict[Scope, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        modules[node.scope].append(node)
    routed = {scope: found for scope, nodes in modules.items() if (found := _routing(nodes))}
    weights = [t for t in every_tensor(graph) if t.role == "weight" and t.known]
    used = {
        tensor.name: tensor.size // experts * chosen
        for scope, (chosen, experts) in routed.items()
        for tensor in _stacks(weights, scope, experts)
    }
    said = " and ".join(f"{k} of {e}" for k, e in dict.fromkeys(routed.values()))
    note = f"routing depends on data: each token is counted in {said} experts"
    return used, (note,) if routed else ()


def _routing(nodes: Sequence[Node]) -> tuple[int, int] | None:
    """How many experts of a module one token is sent to, and of how many.

    Tokens are copied once for each expert that they go to, and sorted by expert: the rows of
    the products over the rows that were copied.
    """
    products = [n for n in nodes if n.op == "grouped_matmul" and n.inputs[0] and n.inputs[1]]
    for node in products[:1]:
        rows, experts = node.inputs[0].sizes[0], node.inputs[1].sizes[0]  # type: ignore[union-attr]
        tokens = next((t.sizes[0] for n in nodes for t in _copied(n, rows)), None)
        if isinstance(rows, int) and isinstance(experts, int) and isinstance(tokens, int):
            return min(rows // tokens, experts), experts
    return None


def _copied(node: Node, rows: object) -> Iterator[Tensor]:
    """The rows that a node copies into `rows` of them."""
    first = node.inputs[0] if node.op == "gather" and node.inputs else None
    copies = node.outputs[0].sizes if node.outputs else ()
    if first is not None and first.role == "activation" and len(first.sizes) == 2:
        yield from (first,) if copies[:1] == (rows,) else ()


def _stacks(weights: Sequence[Tensor], scope: Scope, experts: int) -> Iterator[Tensor]:
    """The learned tensors of a module that hold one part for each expert."""
    prefix = ".".join(scope) + "."
    for tensor in weights:
        if tensor.name.startswith(prefix) and tensor.sizes[:1] == (experts,):
            yield tensor
