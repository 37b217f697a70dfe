"""Shapes through branches and loops: which branch runs, and how often a body does.

`if`: inputs are the condition; `branches` are graphs without inputs of their own.
`loop`: inputs are the trip count (or None), the condition (or None), then the carried
values; the body takes the iteration, the condition and the carried values, and gives the
condition, the carried values, then values that are stacked over the iterations.
`scan`: inputs are the carried values, then sequences; `scans` is the number of the latter,
`axes` their axes of time, `out_axes` those of the stacked results; `batched`: each sample
runs through it alone. The body takes the carried values and one slice of each sequence.
`map`: the body on each element of its operands, of which `sequences` says which are such.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import replace

from flopwise import arrays as numpy
from flopwise import ops
from flopwise.counts import Counts
from flopwise.dims import Dim, symbol, symbols
from flopwise.errors import ShapeMismatch
from flopwise.graph import Graph, Node, Tensor

Known = MutableMapping[str, Tensor]
Walk = Callable[[Graph, Known], Graph]

FOREVER = 2**31 - 1  # what exporters write for "until the condition says so"
UNROLLED = 100_000  # nodes at most, where shapes change from one iteration to the next


def control(node: Node, known: Known, walk: Walk) -> Node:
    """A node whose sub-graphs are inferred; its outputs follow from theirs. What one iteration
    makes is not seen by the next but through its outputs."""
    if "branches" in node.attrs:
        return _branch(node, known, walk)
    kinds = {"scan": _scan, "map": _map}
    return kinds.get(node.op, _loop)(node, known, walk)


def notes(graph: Graph) -> tuple[str, ...]:
    """What the walk had to decide, for the report."""
    found = []
    for node in graph.nodes:
        inside = (*node.attrs.get("branches", ()), node.attrs.get("body"))
        found += [node.attrs["note"]] if "note" in node.attrs else []
        found += [note for g in inside if g is not None for note in notes(g)]
    return tuple(found)


def _branch(node: Node, known: Known, walk: Walk) -> Node:
    """The branch that a known condition takes; the dearer one where it is not known."""
    branches = node.attrs["branches"]
    condition = node.inputs[0].value if node.inputs and node.inputs[0] is not None else None
    attrs = dict(node.attrs)
    if condition is not None:
        chosen = walk(branches[0 if condition.ravel()[0] else 1], known)
    else:
        chosen = max(_possible(branches, known, walk), key=_weight)
        attrs["note"] = f"{node.name}: its condition is not known; the dearer branch is counted"
    attrs["branches"] = (chosen,)
    return replace(node, attrs=attrs, outputs=_like(node.outputs, chosen.outputs))


def _possible(branches: Sequence[Graph], known: Known, walk: Walk) -> list[Graph]:
    """The branches whose shapes fit; one that cannot run is never taken."""
    fitting, misfit = [], None
    for branch in branches:
        try:
            fitting.append(walk(branch, known))
        except ShapeMismatch as error:
            misfit = error
    if misfit is not None and not fitting:
        raise misfit
    return fitting


def _weight(graph: Graph) -> float:
    """What a branch costs, with a thousand for every symbol: good for comparing only."""
    total = 0.0
    for node in graph.nodes:
        inside = (*node.attrs.get("branches", ()), *filter(None, (node.attrs.get("body"),)))
        if inside:
            total += sum(map(_weight, inside))
        elif (counts := ops.count(node)) is not None:
            size = counts.at(**dict.fromkeys(_symbols(counts), 1000))
            total += float(size.ops + size.read + size.write)
    return total


def _symbols(counts: Counts) -> set[str]:
    return {name for _, amount in counts.items() for name in symbols(amount)}


def _loop(node: Node, known: Known, walk: Walk) -> Node:
    body: Graph = node.attrs["body"]
    limit, carried = node.inputs[0], node.inputs[2:]
    trips = None if limit is None or limit.value is None else limit.value.ravel().tolist()[0]
    attrs = dict(node.attrs)
    if trips is None or (isinstance(trips, int) and trips >= FOREVER):
        trips = symbol(f"trips_{node.name}")
        attrs["note"] = f"{node.name}: how often it runs is not known; that number is '{trips}'"
    elif _ends_early(body):
        attrs["note"] = f"{node.name}: counted for all {trips} iterations; a condition may end it"
    start = [Tensor("", (), "int64"), Tensor("", (), "bool"), *carried]
    attrs["body"], attrs["repeat"], final = _iterate(body, start, 2, 1, trips, known, walk)
    made = [*final[: len(carried)], *(_stacked(t, trips, 0) for t in final[len(carried) :])]
    return replace(node, attrs=attrs, outputs=_like(node.outputs, made))


def _ends_early(body: Graph) -> bool:
    """Whether the body makes a condition of its own."""
    made = {t.name for n in body.nodes if n.op != "identity" for t in n.outputs}
    return bool(body.outputs) and body.outputs[0].name in made


def _scan(node: Node, known: Known, walk: Walk) -> Node:
    body: Graph = node.attrs["body"]
    scans = node.attrs["scans"]
    carried, sequences = node.inputs[: len(node.inputs) - scans], node.inputs[-scans:]
    batched = int(bool(node.attrs.get("batched")))  # an axis of the batch comes first
    axes = node.attrs.get("axes") or (batched,) * scans
    if not all(t is not None and t.known for t in sequences):
        return node
    slices = [_slice(t, a) for t, a in zip(sequences, axes) if t is not None]
    trips = sequences[0].sizes[axes[0]]  # type: ignore[union-attr]
    attrs, start = dict(node.attrs), [*carried, *slices]
    if batched:
        samples = start[-1].sizes[0] if start[-1] is not None else 1
        start = [t and _slice(t, 0) for t in start]
    attrs["body"], attrs["repeat"], final = _iterate(body, start, 0, 0, trips, known, walk)
    count = len(carried)
    out_axes = node.attrs.get("out_axes") or (0,) * (len(final) - count)
    made = [*final[:count], *(_stacked(t, trips, a) for t, a in zip(final[count:], out_axes))]
    if batched:
        attrs["repeat"] = attrs["repeat"] * samples
        made = [_stacked(t, samples, 0) for t in made]
    return replace(node, attrs=attrs, outputs=_like(node.outputs, made))


def _map(node: Node, known: Known, walk: Walk) -> Node:
    """The body on each element of the first sequence; tensors that are no sequences, and
    sequences of another rank than the body asks for, go to it whole."""
    body: Graph = node.attrs["body"]
    first = node.inputs[0]
    if first is None or not first.known:
        return node
    sequences = node.attrs.get("sequences", (True,) * len(node.inputs))
    start = [
        _slice(t, 0) if t is not None and t.known and s else t
        for t, s in zip(node.inputs, sequences)
    ]
    trips, attrs = first.sizes[0], dict(node.attrs)
    inferred = walk(_entered(body, start), ChainMap({}, known))
    attrs["body"], attrs["repeat"] = inferred, trips
    made = [_stacked(t, trips, 0) for t in inferred.outputs]
    return replace(node, attrs=attrs, outputs=_like(node.outputs, made))


def _iterate(
    body: Graph, start: Sequence[Tensor | None], first: int, skip: int, trips: Dim, known: Known,
    walk: Walk,
) -> tuple[Graph, Dim, Sequence[Tensor]]:  # fmt: skip
    """The body, how often it runs, and its last outputs after `skip` of them.

    Carried values are the inputs from `first` on. Where their shapes change from one
    iteration to the next the body is unrolled; where that would be too long, the axes
    that change are left open, and what depends on them is listed, not counted.
    """
    carried = min(len(start), len(body.inputs)) - first
    inferred = walk(_entered(body, start), ChainMap({}, known))
    state = inferred.outputs[skip : skip + carried]
    complete = all(t.known for n in inferred.nodes for t in n.outputs)
    if (complete and _same(start[first:], state)) or trips in (0, 1):
        return inferred, trips, inferred.outputs[skip:]
    if isinstance(trips, int) and trips * max(_nodes(inferred), 1) <= UNROLLED:
        return _unrolled(body, start, first, skip, trips, known, walk)
    loose = [_open(a, b) for a, b in zip(start[first:], state)]
    inferred = walk(_entered(body, [*start[:first], *loose]), ChainMap({}, known))
    return inferred, trips, inferred.outputs[skip:]


def _nodes(graph: Graph) -> int:
    """How many nodes a graph has, with those of the graphs in it."""
    inside = (g for n in graph.nodes for g in (*n.attrs.get("branches", ()), n.attrs.get("body")))
    return len(graph.nodes) + sum(_nodes(g) for g in inside if g is not None)


def _unrolled(
    body: Graph, start: Sequence[Tensor | None], first: int, skip: int, trips: int, known: Known,
    walk: Walk,
) -> tuple[Graph, Dim, Sequence[Tensor]]:  # fmt: skip
    """All iterations one after another, each with its number and with values as they are."""
    nodes: list[Node] = []
    state, inferred = list(start[first:]), body
    for i in range(trips):
        count = [replace(t, value=numpy.array(i, dtype=object)) for t in start[:first] if t]
        values = [*count[:1], *start[1:first], *state]
        inferred = walk(_entered(body, values, settled=True), ChainMap({}, known))
        nodes += inferred.nodes
        state = [*inferred.outputs[skip:]]
    return replace(inferred, nodes=tuple(nodes)), 1, inferred.outputs[skip:]


def _entered(body: Graph, values: Sequence[Tensor | None], settled: bool = False) -> Graph:
    """The body with the shapes of what enters it; values change as it runs, unless they
    are handed on as they are, or are those of this very iteration (`settled`)."""
    kept = {t.name for t in (body.inputs if settled else body.outputs)}
    inputs = tuple(
        replace(t, shape=v.shape, dtype=v.dtype, value=v.value if t.name in kept else None)
        if v is not None else t
        for t, v in zip(body.inputs, values)
    )  # fmt: skip
    return replace(body, inputs=(*inputs, *body.inputs[len(inputs) :]))


def _same(before: Sequence[Tensor | None], after: Sequence[Tensor]) -> bool:
    return all(a is None or a.shape == b.shape for a, b in zip(before, after))


def _open(before: Tensor | None, after: Tensor) -> Tensor:
    """The shape with the axes that change left open."""
    a, b = before.shape if before is not None else None, after.shape
    if a is None or b is None or len(a) != len(b):
        return replace(after, shape=None, value=None)
    return replace(after, shape=tuple(x if x == y else None for x, y in zip(a, b)), value=None)


def _slice(tensor: Tensor, axis: int) -> Tensor:
    """One step of a sequence."""
    shape = list(tensor.sizes)
    del shape[axis]
    return replace(tensor, shape=tuple(shape), value=None)


def _stacked(tensor: Tensor, trips: Dim, axis: int) -> Tensor:
    """One more axis, of the iterations."""
    if tensor.shape is None:
        return tensor
    place = axis if axis >= 0 else axis + len(tensor.shape) + 1
    shape = (*tensor.shape[:place], trips, *tensor.shape[place:])
    return replace(tensor, shape=shape, value=None)


def _like(outputs: Sequence[Tensor], made: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The outputs of the node with the shapes, types and values of those made inside."""
    filled = [
        replace(t, shape=m.shape, dtype=m.dtype, value=m.value) for t, m in zip(outputs, made)
    ]
    return (*filled, *outputs[len(filled) :])
