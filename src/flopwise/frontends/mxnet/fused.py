"""Symbols that MXNet rewrote for oneDNN: nodes that hold a graph of their own, in place."""

from __future__ import annotations

from typing import Any

Nodes = list[Any]


def inlined(nodes: Nodes, heads: Any) -> tuple[Nodes, Any]:
    """The nodes with those of fused ones (`_sg_mkldnn_conv`) where these stood. Files that are
    broken come back as they are, for the reader to tell."""
    if not any(_fused(node) for node in nodes):
        return nodes, heads
    made: Nodes = []
    places: list[int] = []  # where the first output of each old node is now
    try:
        for node in nodes:
            if _fused(node):
                _take(node, made, places)
            else:
                made.append({**node, "inputs": _moved(node.get("inputs", []), places)})
            places.append(len(made) - 1)
        return made, _moved(heads, places) if heads else heads
    except (IndexError, KeyError, TypeError, AttributeError):
        return nodes, heads


def _fused(node: Any) -> bool:
    named = isinstance(node, dict) and str(node.get("op", "")).startswith("_sg_")
    return named and len(node.get("subgraphs") or ()) == 1


def _moved(sources: Nodes, places: list[int]) -> Nodes:
    return [[places[i], *rest] for i, *rest in sources]


def _take(node: Any, made: Nodes, places: list[int]) -> None:
    """The nodes inside; its variables are what the node reads: the data first, and last what
    is added. Behind these the node reads ranges of what is quantised."""
    inside = node["subgraphs"][0]["nodes"]
    readers = {s[0]: (n["op"], place) for n in inside for place, s in enumerate(n["inputs"])}

    def order(i: int) -> int:
        op, place = readers[i]
        return 2 if op.lower().endswith(("add", "plus")) else int(op == "BatchNorm" or place > 0)

    variables = sorted((i for i, n in enumerate(inside) if n["op"] == "null"), key=order)
    sources = dict(zip(variables, _moved(node["inputs"], places), strict=False))
    for i, n in enumerate(inside):
        if i not in sources:
            inputs = [sources.get(s[0], s) for s in n["inputs"]]
            made.append({**n, "inputs": inputs})
            sources[i] = [len(made) - 1, 0]
    if [head[0] for head in node["subgraphs"][0]["heads"]] != [len(inside) - 1]:
        raise KeyError
