"""Which operators a runtime runs as one kernel.

Fusion invents no operators: a group is the nodes that one kernel does, with the counts of
all of them and only the bytes that leave or enter the group. `chains` are layers that a
file spells out in small steps; `epilogues` are steps that a kernel does on its result
before writing it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from flopwise import ops
from flopwise.counts import ZERO, Counts
from flopwise.dims import Dim, symbols
from flopwise.graph import Graph, Node, Tensor
from flopwise.passes.drop import bodies, read, uses

# Steps in order, each reading the result of the one before; `?` may be missing.
CHAINS = {
    "layer_norm": "reduce_mean sub pow|square|mul reduce_mean add sqrt div|mul mul? add?",
    "layer_norm_rsqrt": "reduce_mean sub pow|square|mul reduce_mean add rsqrt mul mul? add?",
    "rms_norm": "pow|square|mul reduce_mean add sqrt div|reciprocal mul? mul?",
    "rms_norm_rsqrt": "pow|square|mul reduce_mean add rsqrt mul mul?",
    "attention": "matmul mul|div? add|where? softmax dropout? matmul",
    "gelu": "div|mul erf add mul mul",
    "silu": "sigmoid mul",
    "hard_swish": "add clip mul div|mul",
    "hard_swish_gate": "hard_sigmoid mul",
}
MATRIX = ("conv", "conv_transpose", "linear", "matmul")


@dataclass(frozen=True)
class Unit:
    """Nodes that run as one kernel, in order. `kind` is what they are together."""

    nodes: tuple[Node, ...]
    kind: str

    @property
    def result(self) -> Tensor:
        return self.nodes[-1].outputs[0]


Epilogue = Callable[[Unit, Unit], bool]


@dataclass(frozen=True)
class Group:
    """One kernel: its nodes, their counts with the bytes that cross its border, how often it
    runs. `known` is False where a node has no counts."""

    nodes: tuple[Node, ...]
    kind: str
    counts: Counts
    repeat: Dim = 1
    known: bool = True

    @property
    def main(self) -> Node:
        """The node that does the most."""
        return next((n for n in self.nodes if n.op == self.kind), self.nodes[0])


def bias(unit: Unit, before: Unit) -> bool:
    """Arithmetic with learned or constant operands, after a layer that multiplies matrices."""
    steps = ("add", "sub", "mul", "div", "scale")
    return before.kind in MATRIX and unit.nodes[0].op in steps and len(_flowing(unit)) == 1


def residual(unit: Unit, before: Unit) -> bool:
    """The sum of two results of one shape, after a layer that multiplies matrices."""
    flowing, last = _flowing(unit), unit.result
    alike = len(flowing) == 2 and all(t.shape == last.shape for t in flowing)
    return before.kind in MATRIX and unit.nodes[0].op == "add" and alike


def activation(*names: str) -> Epilogue:
    """One of these functions after a layer that multiplies matrices; of all, without names."""

    def fits(unit: Unit, before: Unit) -> bool:
        entry = ops.find(unit.kind)
        pointwise = entry is not None and entry.family == "pointwise"
        named = unit.kind in names if names else pointwise
        return before.kind in MATRIX and named and len(_flowing(unit)) == 1

    return fits


def pointwise(unit: Unit, before: Unit) -> bool:
    """Any pointwise operator after another, or after a normalisation."""
    entry, earlier = ops.find(unit.kind), ops.find(before.kind)
    if entry is None or earlier is None or entry.family != "pointwise":
        return False
    same = unit.result.shape == before.result.shape
    return same and earlier.family in ("pointwise", "normalization")


def skip_norm(unit: Unit, before: Unit) -> bool:
    """A layer norm after the sum that feeds it."""
    return unit.kind in ("layer_norm", "rms_norm") and before.kind == "add"


def groups(
    graph: Graph, chains: Sequence[str] = (), epilogues: Sequence[Epilogue] = ()
) -> Iterator[Group]:
    """The kernels of a graph, in order; those of loops with how often they run."""

    def units(inner: Graph) -> list[Unit]:
        used = uses(inner)
        return _joined(_units(inner, chains, used), epilogues, used)

    return _groups(graph, units, 1)


def merged(graph: Graph, chains: Sequence[str] = (), epilogues: Sequence[Epilogue] = ()) -> Graph:
    """The graph with one node for each kernel: what lives inside of one is gone. For the lives of
    tensors alone, since a kernel's node has the operator of its main step."""
    used = uses(graph)
    units = _joined(_units(graph, chains, used), epilogues, used)
    return replace(graph, nodes=tuple(_merge(unit) for unit in units))


def _merge(unit: Unit) -> Node:
    if len(unit.nodes) == 1:
        return unit.nodes[0]
    main = next((n for n in unit.nodes if n.op == unit.kind), unit.nodes[0])
    made = {t.name for n in unit.nodes for t in n.outputs}
    read = {t.name: t for n in unit.nodes for t in n.inputs if t is not None}
    inputs = tuple(t for name, t in read.items() if name not in made)
    own = {"workspace": sum((n.attrs.get("workspace", 0) for n in unit.nodes), 0)}
    return replace(main, inputs=inputs, outputs=unit.nodes[-1].outputs, attrs=own)


def native(graph: Graph) -> Iterator[Group]:
    """One kernel per operator of the file: of a graph that its runtime has rewritten."""
    return _groups(graph, _written, 1)


def _groups(graph: Graph, units: Callable[[Graph], list[Unit]], repeat: Dim) -> Iterator[Group]:
    for unit in units(graph):
        inner = bodies(unit.nodes[0])
        if not inner:
            yield _group(unit, repeat)
            continue
        times = repeat * unit.nodes[0].attrs.get("repeat", 1)
        yield from max([list(_groups(body, units, times)) for body in inner], key=_weight)


def _written(graph: Graph) -> list[Unit]:
    """What a frontend writes of one operator stands together, its parts named after it."""
    found: list[list[Node]] = []
    for node in graph.nodes:
        last = found[-1][-1] if found else None
        part = last is not None and last.name.startswith(f"{node.name}/")
        if last is not None and last.origin == node.origin and (part or _sibling(last, node)):
            found[-1].append(node)
        else:
            found.append([node])
    return [Unit(tuple(nodes), _main(nodes)) for nodes in found]


def _sibling(last: Node, node: Node) -> bool:
    """Two parts of one operator."""
    whole, _, part = node.name.rpartition("/")
    return bool(part) and last.name.rpartition("/")[0] == whole and bool(whole)


def _main(nodes: Sequence[Node]) -> str:
    """The product among the nodes, else what normalises, else the last of them."""
    families = {e.family: n.op for n in nodes if (e := ops.find(n.op)) is not None}
    return families.get("contraction") or families.get("normalization") or nodes[-1].op


def _weight(found: list[Group]) -> float:
    """What a branch costs, good for comparing only; letters count a thousand."""
    total = sum((g.counts for g in found), ZERO)
    names = set().union(*(symbols(v) for _, v in total.items()))
    return float(total.at(**dict.fromkeys(names, 1000)).ops)  # type: ignore[arg-type]


def _flowing(unit: Unit) -> list[Tensor]:
    """What the unit reads that another operator made."""
    made = {t.name for n in unit.nodes for t in n.outputs}
    found = {t.name: t for n in unit.nodes for t in n.inputs if t is not None}
    return [t for t in found.values() if t.role in ("activation", "input") and t.name not in made]


def _units(graph: Graph, chains: Sequence[str], used: Mapping[str, int]) -> list[Unit]:
    """The nodes, with chains as one unit each, at the place of their last node."""
    readers: dict[str, list[int]] = {}
    for i, node in enumerate(graph.nodes):
        for tensor in read(node):
            readers.setdefault(tensor.name, []).append(i)
    taken: dict[int, Unit | None] = {}
    for name in chains:
        for start in range(len(graph.nodes)):
            places = _chain(graph.nodes, start, CHAINS[name].split(), readers)
            if places and not taken.keys() & set(places):
                unit = Unit(tuple(graph.nodes[i] for i in places), _plain(name))
                if _closed(unit, used) and _ready(unit):
                    taken |= {**dict.fromkeys(places), places[-1]: unit}
    alone = {i: Unit((n,), n.op) for i, n in enumerate(graph.nodes) if i not in taken}
    whole = {**alone, **taken}
    return [u for i in range(len(graph.nodes)) if (u := whole[i]) is not None]


def _plain(name: str) -> str:
    """The layer that a chain is, whichever way it is spelled."""
    return name.removesuffix("_rsqrt").removesuffix("_gate")


def _chain(
    nodes: Sequence[Node], start: int, steps: Sequence[str], readers: Mapping[str, list[int]]
) -> list[int]:
    """The places of nodes that are those steps, each reading the one before; [] for none."""
    if nodes[start].op not in steps[0].split("|"):
        return []
    places = [start]
    for step in steps[1:]:
        result = nodes[places[-1]].outputs[0].name
        wanted = step.rstrip("?").split("|")
        following = [i for i in readers.get(result, ()) if nodes[i].op in wanted]
        if following:
            places.append(following[0])
        elif not step.endswith("?"):
            return []
    return places if places == sorted(set(places)) else []


def _closed(unit: Unit, used: Mapping[str, int]) -> bool:
    """Whether nothing outside reads what is made on the way."""
    inner: dict[str, int] = {}
    for node in unit.nodes:
        for tensor in read(node):
            inner[tensor.name] = inner.get(tensor.name, 0) + 1
    made = [t.name for n in unit.nodes for t in n.outputs if t.name != unit.result.name]
    return all(used.get(name, 0) == inner.get(name, 0) for name in made)


def _ready(unit: Unit) -> bool:
    """A product of activations is attention's; a matrix of weights is a layer of its own."""
    return unit.kind != "attention" or not any(n.weights for n in unit.nodes if n.op == "matmul")


def _joined(
    units: list[Unit], epilogues: Sequence[Epilogue], used: Mapping[str, int]
) -> list[Unit]:
    """Each unit joined to the last of those that it reads from, where an epilogue says so."""
    found: list[Unit | None] = []
    made: dict[str, int] = {}
    for unit in units:
        place = max((made[t.name] for t in _flowing(unit) if t.name in made), default=None)
        before = found[place] if place is not None else None
        if place is not None and before is not None and _fits(unit, before, epilogues, used):
            kind = unit.kind if before.kind not in MATRIX else before.kind
            unit = Unit(before.nodes + unit.nodes, kind)
            found[place] = None
        made |= {t.name: len(found) for t in unit.nodes[-1].outputs}
        found.append(unit)
    return [unit for unit in found if unit is not None]


def _fits(unit: Unit, before: Unit, epilogues: Sequence[Epilogue], used: Mapping[str, int]) -> bool:
    """Only what nobody else reads needs not be written."""
    if len(unit.nodes[-1].outputs) > 1 or len(before.nodes[-1].outputs) > 1:
        return False
    if bodies(unit.nodes[0]) or bodies(before.nodes[0]):
        return False
    reads = sum(t.name == before.result.name for n in unit.nodes for t in read(n))
    return used.get(before.result.name) == reads > 0 and any(e(unit, before) for e in epilogues)


def _group(unit: Unit, repeat: Dim) -> Group:
    counts = [ops.count(node) for node in unit.nodes]
    total = sum((c for c in counts if c is not None), ZERO)
    if len(unit.nodes) > 1:
        total = total + _inner(unit)
    return Group(unit.nodes, unit.kind, total, repeat, all(c is not None for c in counts))


def _inner(unit: Unit) -> Counts:
    """Less the bytes of what never leaves the kernel, and of what is read once for all."""
    made = {t.name for n in unit.nodes for t in n.outputs}
    seen: set[str] = set()
    reads: Dim = 0
    for node in unit.nodes:
        for tensor in {t.name: t for t in node.inputs if t is not None}.values():
            if tensor.name in made or tensor.name in seen:
                reads = reads + tensor.bytes
            seen.add(tensor.name)
    inner = {t.name: t for n in unit.nodes for t in n.outputs if t.name != unit.result.name}
    return Counts(read=-1 * reads, write=-1 * sum((t.bytes for t in inner.values()), 0))
