"""The truth about parameters: how many there are, of which kind, and how many do something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flopwise.dims import Dim
from flopwise.graph import Graph, Node, Tensor, every_tensor

FROM_DATA = ("input", "activation")


@dataclass(frozen=True, slots=True)
class Parameters:
    """Elements of the learned tensors, each tensor once; `stored_bytes` in bytes.

    `tied` are elements that further names share, and that `total` does not count again.
    `embedding` are tables in which rows are looked up, also where they are tied to the
    output; `non_embedding` are the others (the N of Kaplan et al. 2020, arXiv:2001.08361).
    `unused` is never read by an operator. `active` is what one token uses: all that is
    used, and of experts those that a token is sent to; `active_without_lookups` leaves out
    the tables that are only looked up. The last three are None without operators.
    """

    total: Dim
    trainable: Dim
    tied: Dim
    buffers: Dim
    embedding: Dim
    non_embedding: Dim
    stored_bytes: Dim
    unused: Dim | None
    active: Dim | None
    active_without_lookups: Dim | None


def parameters(graph: Graph) -> Parameters:
    """Tell apart the learned tensors of a graph whose shapes are known."""
    known = [t for t in every_tensor(graph) if t.known]
    weights = {t.name: t for t in known if t.role == "weight"}
    total = _size(weights.values())
    uses = list(_uses(graph))
    read = {t.name for _, t in uses}
    tables = {t.name for node, t in uses if _is_lookup(node, t) and t.name not in graph.active}
    only = tables - {t.name for node, t in uses if not _is_lookup(node, t)}
    embedding = _size(weights[name] for name in tables)
    unused = _size(t for t in weights.values() if t.name not in read)
    idle = sum((weights[n].size - used for n, used in graph.active.items() if n in read), 0)
    active = total - unused - idle
    some = bool(graph.nodes)
    return Parameters(
        total=total,
        trainable=_size(t for t in weights.values() if t.trainable),
        tied=_size(weights[name] for name in graph.tied.values() if name in weights),
        buffers=_size(t for t in known if t.role == "buffer"),
        embedding=embedding,
        non_embedding=total - embedding,
        stored_bytes=sum((t.bytes for t in weights.values()), 0),
        unused=unused if some else None,
        active=active if some else None,
        active_without_lookups=active - _size(weights[n] for n in only) if some else None,
    )


def _size(tensors: Iterable[Tensor]) -> Dim:
    return sum((t.size for t in tensors), 0)


def _uses(graph: Graph) -> Iterator[tuple[Node, Tensor]]:
    """Every operator with every learned tensor that it reads, inside other graphs too."""
    for node in graph.nodes:
        for tensor in node.weights:
            if tensor.known:
                yield node, tensor
        inside = (*node.attrs.get("branches", ()), node.attrs.get("body"))
        for inner in inside:
            if isinstance(inner, Graph):
                yield from _uses(inner)


def _is_lookup(node: Node, table: Tensor) -> bool:
    """Whether rows of a table are taken at indices that come from data."""
    if node.op == "embedding":
        return True
    indices = node.inputs[1] if len(node.inputs) > 1 else None
    rows = node.op == "gather" and node.attrs.get("axis", 0) == 0 and len(table.sizes) == 2
    return rows and node.inputs[0] == table and indices is not None and indices.role in FROM_DATA
