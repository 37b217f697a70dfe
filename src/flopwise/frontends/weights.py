"""Files of weights: graphs without operators, and graphs that take their weights from a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from flopwise.dims import Dim
from flopwise.errors import FlopwiseError
from flopwise.frontends import Request
from flopwise.graph import Graph, Tensor, every_tensor

STATISTICS = ("running_mean", "running_var", "num_batches_tracked", "rope_freqs.weight")
NO_OPERATORS = "weights only: the file holds no operators, so that nothing else is counted"


def role_of(name: str, dtype: str) -> str:
    """Learned, or statistics and indices that are stored with what is learned."""
    counted = dtype in ("bool", "int64", "string") or name.endswith(STATISTICS)
    return "buffer" if counted else "weight"


def weights_only(tensors: Iterable[Tensor], name: str, kind: str, *notes: str) -> Graph:
    """A graph that has weights and nothing else."""
    return Graph((), (), (), name, kind, tuple(tensors), (NO_OPERATORS, *notes), traced=True)


def whole(
    stored: Graph, source: object, request: Request, exact: bool = False
) -> Graph:  # fmt: skip
    """The operators too, where hyperparameters beside the weights name an architecture that
    transformers can build; else the weights, and why not. `exact`: only if the number of
    learned elements is the same."""
    from flopwise.frontends import huggingface

    try:
        built = huggingface.load(source, request)
    except FlopwiseError as error:
        return replace(stored, notes=(*stored.notes, f"operators: {error}"))
    found = merged(built, {t.name: t for t in stored.weights if t.role == "weight"})
    same = _size(_learned(built).values()) == _size(_kept(built, stored))
    if exact and not same:
        note = f"operators: the tensors do not add up to those of {built.name}"
        return replace(stored, notes=(*stored.notes, note))
    return replace(found, format=stored.format, name=stored.name or found.name)


def merged(graph: Graph, stored: Mapping[str, Tensor]) -> Graph:
    """The graph whose weights take the bytes that a file keeps them in.

    Weights go together by name; then those of a module, where several tensors of the file
    are one of the model; then the rest. Of such groups the bytes are shared out by elements.
    """
    wanted = _learned(graph)
    given = dict(_renamed(stored, wanted, graph))
    for name in graph.tied:
        given.pop(name, None)
    kept = {n: given.pop(n).bytes for n, t in wanted.items() if _same(given.get(n), t)}
    left = {n: t for n, t in wanted.items() if n not in kept}
    modules = dict.fromkeys(name.rpartition(".")[0] + "." for name in left)
    for prefix in (*modules, ""):
        ours = [t for n, t in left.items() if n.startswith(prefix)]
        theirs = [t for n, t in given.items() if n.startswith(prefix)]
        if ours and _size(ours) == _size(theirs):
            kept |= _shared(ours, sum((t.bytes for t in theirs), 0))
            left = {n: t for n, t in left.items() if n not in kept}
            given = {n: t for n, t in given.items() if not n.startswith(prefix)}
    graph = graph.map_tensors(
        lambda t: replace(t, stored=kept[t.name]) if t.name in kept else t
    )  # fmt: skip
    return replace(graph, notes=(*graph.notes, *_notes(left, given)))


def _notes(left: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Iterable[str]:
    if left:
        yield f"not in the file: {len(left)} weights of {_size(left.values())} elements"
    if given:
        yield f"not in the model: {len(given)} tensors of {_size(given.values())} elements"


def _learned(graph: Graph) -> dict[str, Tensor]:
    return {t.name: t for t in every_tensor(graph) if t.role == "weight" and t.known}


def _kept(graph: Graph, stored: Graph) -> Iterable[Tensor]:
    """The learned tensors of the file, tied ones once."""
    return (t for t in stored.weights if t.role == "weight" and t.name not in graph.tied)


def _renamed(
    stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor], graph: Graph
) -> Mapping[str, Tensor]:
    """The tensors of the file by the names of the model, which may have one prefix more or
    less."""
    first = next(iter(wanted), "").partition(".")[0] + "."
    spellings = (
        stored,
        {first + n: t for n, t in stored.items()},
        {n.removeprefix(first): t for n, t in stored.items()},
    )
    return max(spellings, key=lambda names: len(names.keys() & wanted.keys()))


def _same(found: Tensor | None, wanted: Tensor) -> bool:
    return found is not None and found.size == wanted.size


def _size(tensors: Iterable[Tensor]) -> Dim:
    return sum((t.size for t in tensors), 0)


def _shared(tensors: list[Tensor], total: Dim) -> dict[str, Dim]:
    """Bytes by elements, to the last byte."""
    shares: dict[str, Dim] = {}
    elements, seen, given = _size(tensors), 0, 0
    for tensor in tensors:
        seen += tensor.size
        upto = total * seen // elements
        shares[tensor.name], given = upto - given, upto
    return shares
