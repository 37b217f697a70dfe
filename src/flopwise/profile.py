"""A graph with its counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from flopwise import dims, ops
from flopwise.conventions import Convention
from flopwise.counts import ZERO, Counts, decimal, divide, summed, together
from flopwise.dims import Dim
from flopwise.errors import FlopwiseError
from flopwise.graph import Graph, Node, Tensor, every_tensor
from flopwise.parameters import Parameters, parameters


@dataclass(frozen=True, slots=True)
class Row:
    """One operator with its counts (None: unknown) and how often it runs."""

    node: Node
    counts: Counts | None
    repeat: Dim = 1
    params: Dim = 0
    trainable: Dim = 0

    @property
    def total(self) -> Counts:
        """The counts of all runs; nothing where they are unknown."""
        if self.counts is None:
            return ZERO
        return self.counts if self.repeat == 1 else self.repeat * self.counts


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a report: one operator, or a module folded to a depth."""

    name: str
    op: str
    scope: tuple[str, ...]
    shape: tuple[Dim | None, ...] | None
    params: Dim
    counts: Counts
    value: Any
    share: float | None
    known: bool = True


@dataclass(frozen=True)
class Profile:
    """What a network costs, read in one convention."""

    graph: Graph
    rows: tuple[Row, ...]
    convention: Convention

    def total(self) -> Counts:
        """The counts of the whole network."""
        return together(row.total for row in self.rows)

    def value(self) -> Any:
        """The number in the profile's convention."""
        return decimal(self._whole)

    def value_of(self, row: Row) -> Any:
        """One row's share of the value."""
        return decimal(self._read(row))

    def _read(self, row: Row) -> Any:
        if row.counts is None:
            return 0
        value = row.repeat * self.convention.read(row.node, row.counts)
        return divide(value, self._batch) if self.convention.per_batch else value

    @property
    def _batch(self) -> Dim:
        """The first axis of the first input, which tools take for the batch."""
        return dims.prod(size for t in self.graph.inputs[:1] for size in t.sizes[:1])

    @cached_property
    def weights(self) -> tuple[Tensor, ...]:
        """Every learned tensor once, used or not."""
        return tuple(t for t in every_tensor(self.graph) if t.role == "weight" and t.known)

    @property
    def params(self) -> Dim:
        """Elements of the learned tensors, each tensor once."""
        return self.parameters.total

    @property
    def trainable_params(self) -> Dim:
        return self.parameters.trainable

    @property
    def buffers(self) -> Dim:
        """Elements of running statistics that the format keeps apart from parameters."""
        return self.parameters.buffers

    @cached_property
    def parameters(self) -> Parameters:
        """What kinds of parameters there are, and how many of them one token uses."""
        return parameters(self.graph)

    @property
    def activations(self) -> Dim:
        """Elements of the results of contractions (timm, fvcore), in fused operators too."""
        return summed(row.repeat * _results(row) for row in self.rows)

    @property
    def weight_bytes(self) -> Dim:
        return self.parameters.stored_bytes

    @property
    def unknown(self) -> tuple[Row, ...]:
        """The operators without counts, dearest-looking first."""
        return tuple(r for r in self.rows if r.counts is None)

    @property
    def coverage(self) -> float:
        """The share of operators with a formula or known to cost nothing; of weights without
        operators, none is covered."""
        none = 0.0 if self.graph.weights and not self.graph.outputs else 1.0
        return 1 - len(self.unknown) / len(self.rows) if self.rows else none

    def not_counted(self) -> dict[str, int]:
        """Native operators without counts, with how many of each."""
        origins = [r.node.origin or r.node.op for r in self.unknown]
        return {origin: origins.count(origin) for origin in dict.fromkeys(origins)}

    def open_shapes(self) -> list[str]:
        """Tensors of unknown shape that operators of known operands make: what follows them
        cannot be counted until somebody says their shapes."""
        rows = [r.node for r in self.unknown if all(t is None or t.known for t in r.node.inputs)]
        return [t.name for node in rows for t in node.outputs if not t.known]

    def lines(self, depth: int | None = None) -> list[Line]:
        """One line per operator, or per module path cut to `depth` parts."""
        if depth is None:
            return [self._line((row,), row.node.name, row.node.op) for row in self.rows]
        modules: dict[tuple[str, ...], list[Row]] = {}
        for row in self.rows:
            modules.setdefault(row.node.scope[:depth], []).append(row)
        return [
            self._line(tuple(rows), "/".join(scope), _only_op(rows))
            for scope, rows in modules.items()
        ]

    def _line(self, rows: tuple[Row, ...], name: str, op: str) -> Line:
        value, whole = decimal(summed(map(self._read, rows))), self.value()
        forward = (row.node for row in reversed(rows) if not row.node.attrs.get("phase"))
        last = next(forward, rows[-1].node)
        return Line(
            name, op, last.scope, last.outputs[0].shape if last.outputs else (),
            summed(r.params for r in rows), together(r.total for r in rows), value,
            float(value / whole) if isinstance(whole, int | float) and whole else None,
            all(r.counts is not None for r in rows),
        )  # fmt: skip

    @cached_property
    def _whole(self) -> Any:
        return summed(map(self._read, self.rows))

    def by_scope(self, depth: int) -> dict[tuple[str, ...], Counts]:
        """Counts by module path, cut to `depth` parts."""
        return self._grouped(lambda row: row.node.scope[:depth])

    def by_op(self) -> dict[str, Counts]:
        """Counts by operator."""
        return self._grouped(lambda row: row.node.op)

    def _grouped(self, key: Callable[[Row], Any]) -> dict[Any, Counts]:
        groups: dict[Any, Counts] = {}
        for row in self.rows:
            groups[key(row)] = groups.get(key(row), ZERO) + row.total
        return groups

    def at(self, **sizes: Dim) -> Profile:
        """The profile with symbols replaced by sizes."""
        return profile(bind_symbols(self.graph, sizes), self.convention)

    def __sub__(self, other: Profile) -> Counts:
        return self.total() - other.total()

    @property
    def batch(self) -> Dim | None:
        """The first axis of the inputs, where they have one and agree."""
        sizes = {t.shape[0] for t in self.graph.inputs if t.shape}
        return sizes.pop() if len(sizes) == 1 else None

    def to_pandas(self, depth: int | None = None) -> Any:
        """The layers as a pandas DataFrame. Raises MissingPackage."""
        from flopwise.reports.frames import to_pandas

        return to_pandas(self, depth)

    def to_polars(self, depth: int | None = None) -> Any:
        """The layers as a polars DataFrame. Raises MissingPackage."""
        from flopwise.reports.frames import to_polars

        return to_polars(self, depth)

    def _repr_html_(self) -> str:
        from flopwise.reports.notebook import render

        return render(self)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of schema flopwise/1."""
        from flopwise.reports.json import to_dict

        return to_dict(self)

    def __repr__(self) -> str:
        """One line, for a prompt; `print` gives the table."""
        from flopwise.reports import exact, percent

        return (
            f"<Profile of {self.graph.name}: {exact(self.params)} params, "
            f"{exact(self.total().mac)} MACs, {exact(self.value())} {self.convention.name}, "
            f"coverage {percent(self.coverage)}>"
        )

    def __str__(self) -> str:
        from flopwise.reports.table import render

        return render(self)


def _results(row: Row) -> Dim:
    if row.counts is None or row.counts.dot == 0:
        return 0
    entry = ops.find(row.node.op)
    is_one = entry is not None and entry.family == "contraction"
    return row.node.outputs[0].size if is_one else row.counts.dot


def _only_op(rows: list[Row]) -> str:
    """The operator of a module that has one, views aside."""
    does = [r.node.op for r in rows if r.counts is None or r.total.ops != 0] or [rows[0].node.op]
    return does[0] if len(does) == 1 else ""


def profile(graph: Graph, convention: Convention) -> Profile:
    """Count every operator of a graph whose shapes are known."""
    seen: set[str] = set()
    return Profile(graph, tuple(_rows(graph, 1, seen)), convention)


def _rows(graph: Graph, repeat: Dim, seen: set[str]) -> Iterator[Row]:
    for node in graph.nodes:
        if "body" in node.attrs:
            yield from _rows(node.attrs["body"], repeat * node.attrs["repeat"], seen)
            continue
        if "branches" in node.attrs:
            yield from _dearest(node.attrs["branches"], repeat, seen)
            continue
        new = [t for t in node.weights if t.name not in seen and t.known]
        seen.update(t.name for t in new)
        params = sum((t.size for t in new), 0)
        trainable = sum((t.size for t in new if t.trainable), 0)
        yield Row(node, _count(node), repeat, params, trainable)


def _dearest(branches: tuple[Graph, ...], repeat: Dim, seen: set[str]) -> Iterator[Row]:
    """The branch with the most operations; of symbolic ones, the last."""

    def cost(branch: Graph) -> Any:
        ops_ = sum((r.total for r in _rows(branch, 1, set())), ZERO).ops
        return ops_ if isinstance(ops_, int) else float("inf")

    yield from _rows(max(branches, key=cost), repeat, seen)


def _count(node: Node) -> Counts | None:
    try:
        return ops.count(node)
    except FlopwiseError as error:
        raise type(error)(f"{node}: {error}") from None


def bind_symbols(graph: Graph, sizes: dict[str, Dim]) -> Graph:
    """The graph with symbols replaced in every shape, attribute and repeat count."""

    def attribute(value: Any) -> Any:
        if isinstance(value, Graph):
            return bind_symbols(value, sizes)
        if isinstance(value, tuple):
            return tuple(map(attribute, value))
        return dims.at(value, sizes)

    def tensor(t: Tensor) -> Tensor:
        return replace(t, shape=t.shape and tuple(dims.at(s, sizes) for s in t.shape))

    nodes = tuple(
        replace(n, attrs={k: attribute(v) for k, v in n.attrs.items()}) for n in graph.nodes
    )
    return replace(graph, nodes=nodes).map_tensors(tensor)
