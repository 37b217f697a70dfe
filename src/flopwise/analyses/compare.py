"""Networks side by side: totals, layers aligned, and the first layer that differs.

Two networks are aligned in the order in which they run. Layers of one name are the same
layer, before and after an edit; where names differ, as between formats, the operator
and its sizes tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from flopwise.dims import Dim
from flopwise.profile import Line, Profile


@dataclass(frozen=True)
class Pair:
    """One layer before and after; None where it is not there."""

    before: Line | None
    after: Line | None

    @property
    def changed(self) -> bool:
        """Whether the cost or the shape differs."""
        if self.before is None or self.after is None:
            return True
        return _size(self.before) != _size(self.after)


@dataclass(frozen=True)
class Comparison:
    """Networks by name: what each costs in all; of two, their layers aligned (None: not asked
    for) and where they part."""

    names: list[str]
    totals: list[dict[str, Any]]
    pairs: list[Pair] | None
    difference: Difference | None


def side_by_side(
    profiles: list[Profile], names: list[str], effective: list[Any] | None = None,
    layers: bool = False, depth: int | None = None,
) -> Comparison:  # fmt: skip
    """Compare networks; `effective` are the MACs of each whose weight is not zero."""
    found = [*map(totals, profiles, effective or [None] * len(profiles))]
    if len(profiles) != 2:
        return Comparison(names, found, None, None)
    before, after = profiles
    pairs = align(before, after, depth) if layers else None
    return Comparison(names, found, pairs, first_difference(before, after))


def totals(profile: Profile, effective: Any = None) -> dict[str, Any]:
    """The numbers that a comparison shows; `effective` MACs where they are known."""
    total = profile.total()
    sparse = {} if effective is None else {"effective_macs": effective}
    return {
        "params": profile.params, "macs": total.mac, **sparse, "flops": total.flops,
        "ops": total.ops,
        "value": profile.value(), "activations": total.dot, "weight_bytes": profile.weight_bytes,
        "read_bytes": total.read, "write_bytes": total.write,
    }  # fmt: skip


def align(before: Profile, after: Profile, depth: int | None = None) -> list[Pair]:
    """The layers of both, paired in order; layers that do nothing are left out."""
    a, b = _lines(before, depth), _lines(after, depth)
    shared = _once(a) & _once(b)
    left, right = ([_key(line, shared) for line in side] for side in (a, b))
    pairs: list[Pair] = []
    for tag, i, j, k, m in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag == "equal":
            pairs += map(Pair, a[i:j], b[k:m])
        else:
            pairs += _replaced(a[i:j], b[k:m])
    return pairs


def _replaced(a: list[Line], b: list[Line]) -> Iterator[Pair]:
    """A stretch that was exchanged: operators of one kind are the same layer, changed."""
    kinds = SequenceMatcher(None, [x.op for x in a], [x.op for x in b], autojunk=False)
    for tag, i, j, k, m in kinds.get_opcodes():
        if tag == "equal":
            yield from map(Pair, a[i:j], b[k:m])
        else:
            yield from (Pair(x, None) for x in a[i:j])
            yield from (Pair(None, x) for x in b[k:m])


def _lines(profile: Profile, depth: int | None) -> list[Line]:
    every = profile.lines(depth)
    return [x for x in every if not x.known or x.counts.ops != 0 or x.params != 0]


def _once(lines: list[Line]) -> set[str]:
    return {name for name, count in Counter(x.name for x in lines).items() if count == 1}


def _key(line: Line, shared: set[str]) -> Any:
    return line.name if line.name in shared else (line.op, *_size(line))


def _size(line: Line) -> tuple[Any, ...]:
    return line.params, line.counts.mac, line.counts.ops, line.shape


@dataclass(frozen=True)
class Difference:
    """The first contraction in which two networks differ, with its place among them."""

    place: int
    before: Line | None
    after: Line | None


def first_difference(before: Profile, after: Profile) -> Difference | None:
    """Where two formats of one network part: contractions compared in order by MACs."""
    a, b = ([x for x in p.lines() if x.counts.mac != 0] for p in (before, after))
    for place, (left, right) in enumerate(zip_longest(a, b), 1):
        if left is None or right is None or _cost(left) != _cost(right):
            return Difference(place, left, right)
    return None


def _cost(line: Line) -> tuple[Dim, Dim]:
    return line.counts.mac, line.params
