"""The least that has to run again for a step to fit in a memory budget.

Each block of a network is kept, or keeps its inputs and the results of its contractions
(selective), or its inputs alone. While the backward of block i runs, what lives is what the
blocks before it keep, what block i holds meanwhile, and gradients. Of all choices that stay below
the budget at every block, the one that computes least again is found by dynamic programming
over the blocks, as Beaumont et al. 2019 do for chains. Its peak is then measured on the graph
itself; where the sum was too hopeful, the search goes on with a smaller budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from flopwise.analyses.liveness import walk
from flopwise.analyses.training.step import Training, phase, reading, step
from flopwise.analyses.training_memory import peak_bytes, stepped
from flopwise.analyses.training_memory.static import static
from flopwise.dims import Expr
from flopwise.errors import FlopwiseError, UnknownSize
from flopwise.graph import Graph, Node
from flopwise.passes.backward import Segment
from flopwise.passes.checkpoint import Span, blocks, stored
from flopwise.profile import Row

CHOICES = ("none", "selective", "block")
ROUNDS = 40  # searches, each with a budget less by what the one before was over
GRAIN = 2048  # parts of the budget that sums are rounded up to, so that few differ
Chosen = tuple[str, ...]


@dataclass(frozen=True)
class Price:
    """Of one block under one choice: bytes it keeps to its backward, the most that lives during
    that beside what the blocks before keep, and operations that run again."""

    kept: int
    during: int
    again: int


def checkpointed(graph: Graph, training: Training, budget: float) -> Training:
    """The step with the least recomputation whose peak is within `budget` bytes. Raises
    FlopwiseError where there is none, UnknownSize where a size is free."""
    if isinstance(peak := peak_bytes(training), Expr):
        raise UnknownSize("checkpointing for a budget needs every size: give --batch a number")
    if peak <= budget:
        return training
    spans = blocks(training.forward)
    start, prices = _prices(graph, training, spans)
    room = int(budget)
    for _ in range(ROUNDS):
        if (chosen := cheapest(prices, start, room)) is None:
            break
        found = _rerun(graph, training, spans, chosen)
        reached: Any = peak_bytes(found)
        if (over := int(reached - budget)) <= 0:
            return found
        room -= max(over, int(budget) // GRAIN)
    whole = _rerun(graph, training, spans, ("block",) * len(spans))
    reached = peak_bytes(whole)
    if reached <= budget:
        return whole
    raise FlopwiseError(
        f"no checkpointing fits in {int(budget):,} bytes: with every block run again the peak is "
        f"{reached:,}"
    )


def segments(graph: Graph, spans: Sequence[Span], chosen: Sequence[str]) -> tuple[Segment, ...]:
    """What runs again where each block has its choice."""
    return tuple(
        Segment(a, b, stored(graph.nodes[a:b]) if how == "selective" else frozenset())
        for (a, b), how in zip(spans, chosen) if how != "none"
    )  # fmt: skip


def cheapest(prices: Sequence[dict[str, Price]], start: int, budget: int) -> Chosen | None:
    """The choices with the least work whose sums stay within the budget; None: there are none.
    Of two ways to a block that keep as much, only the one with less work can be part of it."""
    grain = max(budget // GRAIN, 1)
    ways: dict[int, tuple[int, Chosen]] = {start: (0, ())}
    for block in prices:
        after: dict[int, tuple[int, Chosen]] = {}
        for held, (work, chosen) in ways.items():
            for how, price in block.items():
                if held + price.during > budget:
                    continue
                sum_ = -(-(held + price.kept) // grain) * grain
                way = (work + price.again, (*chosen, how))
                if sum_ not in after or way[0] < after[sum_][0]:
                    after[sum_] = way
        ways = _front(after)
    return min(ways.values())[1] if ways else None


def _front(ways: dict[int, tuple[int, Chosen]]) -> dict[int, tuple[int, Chosen]]:
    """Without ways that keep more and compute no less."""
    found: dict[int, tuple[int, Chosen]] = {}
    best: int | None = None
    for held in sorted(ways):
        if best is None or ways[held][0] < best:
            found[held], best = ways[held], ways[held][0]
    return found


def _rerun(graph: Graph, training: Training, spans: Sequence[Span], chosen: Chosen) -> Training:
    again = segments(training.forward, spans, chosen)
    return step(graph, replace(training.recipe, checkpoint=again))


def _prices(
    graph: Graph, training: Training, spans: Sequence[Span]
) -> tuple[int, list[dict[str, Price]]]:
    """What is held before the first block, and each block's prices: read off three steps in
    which every block has the same choice."""
    prices: list[dict[str, Price]] = [{} for _ in spans]
    start = 0
    for how in CHOICES:
        found = _rerun(graph, training, spans, (how,) * len(spans))
        held, during, again = _course(found, spans)
        start = held[0]
        for i in range(len(spans)):
            prices[i][how] = Price(held[i + 1] - held[i], during[i] - held[i], again[i])
    return start, prices


def _course(training: Training, spans: Sequence[Span]) -> tuple[list[int], list[int], list[int]]:
    """Bytes held where each block begins (and after the last), the most while its backward
    runs, and the operations that it runs again."""
    work = {id(row.node): _operations(row) for row in training.profile.rows}
    places = {id(node): i for i, node in enumerate(training.forward.nodes)}
    marks = {start: i for i, (start, _) in enumerate(spans)} | {spans[-1][1]: len(spans)}
    held, during, again = [0] * (len(spans) + 1), [0] * len(spans), [0] * len(spans)
    always = static(training).always(training.recipe)
    back: list[tuple[Node, int]] = []
    for at in walk(stepped(training), held=True):
        bytes_, place = int(always + at.bytes), places.get(id(at.node))
        if place in marks:
            held[marks[place]] = bytes_
        if phase(at.node) in ("backward", "recomputation"):
            held[-1] = held[-1] or bytes_
            back.append((at.node, bytes_))
    here: int | None = None
    for node, bytes_ in reversed(back):  # what runs again comes before the gradient it is for
        place = places.get(id(node.attrs.get("forward")), -1)
        here = here if place < 0 else _block(place, spans)
        if here is not None:
            during[here] = max(during[here], bytes_)
            again[here] += work.get(id(node), 0) if phase(node) == "recomputation" else 0
    return held, during, again


def _block(place: int, spans: Sequence[Span]) -> int | None:
    return next((i for i, (start, stop) in enumerate(spans) if start <= place < stop), None)


def _operations(row: Row) -> int:
    """Every elementary operation, a multiply-accumulate as two."""
    return int(row.total.weigh(reading("ops").weights))
