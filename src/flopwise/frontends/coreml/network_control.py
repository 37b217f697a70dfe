"""Branches and loops of CoreML's neural networks: networks inside, on the same blobs."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.coreml.network_native import Layer, lowers
from flopwise.graph import Graph, Node, Tensor


def _inside(n: Layer, message: Any) -> tuple[Node, ...]:
    """The nodes of a network within, which reads and writes the blobs around it."""
    outer, n.net.nodes = n.net.nodes, []
    n.net.lower(message.get("layers", ()))
    inner, n.net.nodes = n.net.nodes, outer
    return tuple(inner)


@lowers("branch")
def branch(n: Layer) -> None:
    """Both branches write the same blobs."""
    kept, before = dict(n.net.blobs), set(n.net.blobs)
    graphs = []
    for side in ("then", "else"):
        n.net.blobs = dict(kept)
        nodes = _inside(n, n.p.get(side, {}))
        changed = {k: t for k, t in n.net.blobs.items() if kept.get(k) != t or k not in before}
        graphs.append((nodes, changed))
    names = sorted(set(graphs[0][1]) & set(graphs[1][1])) or sorted(graphs[0][1])
    n.net.blobs = kept
    branches = tuple(
        Graph((), tuple(made.get(k, kept.get(k, Tensor(k))) for k in names), nodes)
        for nodes, made in graphs
    )
    n.emit("if", n.inputs[0], to=names, branches=branches)


@lowers("loop")
def loop(n: Layer) -> None:
    """At most so many rounds; blobs that the body writes are carried."""
    kept = dict(n.net.blobs)
    test = _inside(n, n.p.get("condition", {}))
    body = _inside(n, n.p.get("body", {}))
    changed = [k for k, t in n.net.blobs.items() if k in kept and kept[k] != t]
    after = [n.net.blobs[k] for k in changed]
    n.net.blobs = kept
    step, go = (Tensor(n.net.unique(f"{n.name}/{k}"), (), d) for k, d in STEPS)
    most = n.integer("most")
    limit = _number(n.net.unique(f"{n.name}/most"), most) if most else None
    graph = Graph((step, go, *(kept[k] for k in changed)), (go, *after), (*test, *body))
    n.emit("loop", limit, None, *(kept[k] for k in changed), to=changed, body=graph, repeat=1)


STEPS = (("step", "int64"), ("go", "bool"))


def _number(name: str, value: int) -> Tensor:
    import numpy

    return Tensor(name, (), "int64", "constant", value=numpy.array(value))
