"""What a network costs at many sizes, from one count in which they are free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from math import isclose
from typing import Any

from flopwise import dims
from flopwise.analyses.memory import kept, memory, timeline
from flopwise.analyses.sweep.agreement import hold, nodes, told
from flopwise.analyses.sweep.free import sized
from flopwise.analyses.sweep.points import Points
from flopwise.conventions import Convention
from flopwise.counts import decimal, divide
from flopwise.dims import Dim, symbols
from flopwise.errors import FlopwiseError, UnknownSize
from flopwise.frontends import Request
from flopwise.profile import Profile, profile

COLUMNS = (
    "value", "params", "macs", "flops", "ops", "activations", "weight_bytes", "read_bytes",
    "write_bytes", "peak_bytes",
)  # fmt: skip
BY_POINT = "--by-point counts each point by itself"


@dataclass(frozen=True)
class Sweep:
    """The points by column: the sizes that vary, then COLUMNS.

    `value` is the number in the convention; `peak_bytes` are the weights and the most that
    lives beside them in `runtime`. `formulas` are the totals in letters, where one count gave
    all points. `profile` has the sizes free, or is that of the first point.
    """

    profile: Profile
    varied: tuple[str, ...]
    columns: Mapping[str, tuple[Any, ...]]
    formulas: Mapping[str, Dim]
    runtime: str

    def __len__(self) -> int:
        return len(self.columns["value"])

    def rows(self) -> Iterator[dict[str, Any]]:
        """The points one by one."""
        return (dict(zip(self.columns, values)) for values in zip(*self.columns.values()))


def sweep(
    source: Any, columns: Mapping[str, list[int]], request: Request, convention: Convention,
    by_point: bool = False, runtime: str = "eager",
) -> Sweep:  # fmt: skip
    """Count a model with the sizes of `columns` free, and put the points in.

    The first and the last point are counted on their own too, and must agree. With
    `by_point` every point is: for networks that take no free sizes. Raises FlopwiseError.
    """
    points = Points(columns)
    network = sized(source, request, points.at(0))

    def known(place: int) -> tuple[Profile, dict[str, Any]]:
        at = points.at(place)
        try:
            counted = profile(network.at(at), convention)
            return counted, figures(counted, runtime)
        except FlopwiseError as error:
            raise type(error)(f"at {told(at)}: {error}") from None

    if by_point:
        every = [known(place) for place in range(points.count)]
        found = {name: tuple(f[name] for _, f in every) for name in COLUMNS}
        return Sweep(every[0][0], (*columns,), _joined(columns, found), {}, runtime)
    free = profile(network.free, convention)
    _all_given(free, points)
    hold(free.graph, points)
    formulas = _formulas(free)
    found = _evaluated(free, formulas, points, runtime)
    for place in sorted({0, points.count - 1}):
        counted, wanted = known(place)
        if counted.not_counted() != free.not_counted():
            told_ = ", ".join(free.not_counted().keys() - counted.not_counted().keys())
            raise FlopwiseError(f"{told_}: not counted at free sizes; {BY_POINT}")
        _confirm({n: found[n][place] for n in COLUMNS}, wanted, points.at(place))
    return Sweep(free, (*columns,), _joined(columns, found), formulas, runtime)


def figures(counted: Profile, runtime: str) -> dict[str, Any]:
    """COLUMNS of a profile whose sizes are numbers."""
    peak = memory(counted.graph, runtime).peak_bytes
    return {**_totals(counted), "value": counted.value(), "peak_bytes": peak}


def _all_given(free: Profile, points: Points) -> None:
    """Raises UnknownSize for a size that no point has."""
    shapes = (t.shape or () for node in nodes(free.graph) for t in node.outputs)
    inputs = (t.sizes for t in free.graph.inputs)
    amounts = (amount for row in free.rows for _, amount in row.total.items())
    names = {s for size in chain(*inputs, *shapes, amounts) for s in symbols(size or 0)}
    for name in sorted(names - points.columns.keys()):
        raise UnknownSize(
            f"size '{name}' is still free: give it with --batch or --input, or --vary {name}=1:64"
        )


def _totals(counted: Profile) -> dict[str, Dim]:
    total = counted.total()
    return {
        "params": counted.params, "macs": total.mac, "flops": total.flops, "ops": total.ops,
        "activations": counted.activations, "weight_bytes": counted.weight_bytes,
        "read_bytes": total.read, "write_bytes": total.write,
    }  # fmt: skip


def _formulas(free: Profile) -> dict[str, Dim]:
    """The totals in letters; the value before it is divided by the batch, where it is."""
    whole = replace(free, convention=replace(free.convention, per_batch=False))
    return {"value": whole.value(), **_totals(free)}


def _evaluated(
    free: Profile, formulas: Mapping[str, Dim], points: Points, runtime: str
) -> dict[str, tuple[Any, ...]]:  # fmt: skip
    """COLUMNS at all points."""
    steps = [step.live_bytes for step in timeline(free.graph, runtime)]
    weights = sum(kept(free.graph).values(), 0)
    found = {name: points.of(size) for name, size in formulas.items()}
    if free.convention.per_batch:
        batch = points.of(dims.prod(s for t in free.graph.inputs[:1] for s in t.sizes[:1]))
        found["value"] = _quotients(found["value"], batch)
    found["peak_bytes"] = points.of(weights) + points.largest(steps)
    return {name: tuple(map(decimal, found[name].tolist())) for name in COLUMNS}


def _quotients(whole: Any, parts: Any) -> Any:
    """Exact where there is no remainder, as `divide` has it."""
    import numpy

    return numpy.frompyfunc(divide, 2, 1)(whole.astype(object), parts.astype(object))


def _joined(
    sizes: Mapping[str, list[int]], found: Mapping[str, tuple[Any, ...]]
) -> dict[str, tuple[Any, ...]]:  # fmt: skip
    return {**{name: tuple(values) for name, values in sizes.items()}, **found}


def _confirm(free: Mapping[str, Any], known: Mapping[str, Any], at: dict[str, int]) -> None:
    """A rule that a free size leads elsewhere than a number does must not go unseen."""
    for name in COLUMNS:
        a, b = free[name], known[name]
        if a != b and not (isinstance(b, float) and isclose(a, b, rel_tol=1e-9)):
            raise FlopwiseError(
                f"at {told(at)}: {name} is {b:,}, and {a:,} by the count with free sizes: this "
                f"network takes none; {BY_POINT}"
            )
