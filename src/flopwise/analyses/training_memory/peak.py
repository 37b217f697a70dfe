"""The greatest of many sizes that may hold a free one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

from flopwise.dims import Dim, Expr, at, maximum, symbols

FAR = 2**40  # where the fastest growing is the greatest


def highest(sizes: Sequence[Dim]) -> tuple[Dim, int]:
    """The greatest, and its place (with a free size: that of a large one)."""
    free = sorted({name for size in sizes for name in symbols(size)})
    if not free:
        top: Any = max(sizes, default=0)  # type: ignore[type-var]
        return top, sizes.index(top) if sizes else 0
    far = [at(size, dict.fromkeys(free, FAR)) for size in sizes]
    place = max(range(len(far)), key=far.__getitem__)
    found = list(dict.fromkeys(sizes))
    if len(free) == 1 and all(map(_straight, found)):
        found = list(dict.fromkeys(_envelope(found, free[0])))
    return reduce(maximum, found), place


def _straight(size: Dim) -> bool:
    """Whether it is a multiple of one free size, plus a number."""
    if not isinstance(size, Expr):
        return True
    (name,) = symbols(size)
    one, two, three = (at(size, {name: n}) for n in (1, 2, FAR))
    return three - one == (two - one) * (FAR - 1)


def _envelope(lines: Sequence[Dim], name: str) -> Iterator[Dim]:
    """Those of many straight lines that are the greatest somewhere between 1 and FAR."""

    def best(n: int) -> Dim:
        return max(lines, key=lambda line: (at(line, {name: n}), at(line, {name: n + 1})))

    def between(low: int, high: int) -> Iterator[Dim]:
        first, last = best(low), best(high)
        yield first
        if first != last and high - low > 1:
            middle = _meeting(first, last, name, low, high)
            yield from between(low, middle)
            yield from between(middle, high)
        yield last

    yield from between(1, FAR)


def _meeting(first: Dim, last: Dim, name: str, low: int, high: int) -> int:
    """The whole number at which two lines meet, inside the bounds."""
    gap = at(first, {name: 0}) - at(last, {name: 0})
    rise = (at(last, {name: 1}) - at(last, {name: 0})) - (
        at(first, {name: 1}) - at(first, {name: 0})
    )
    where = gap // rise if rise > 0 else (low + high) // 2
    return int(min(max(where, low + 1), high - 1))
