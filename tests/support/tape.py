"""Arrays of numbers that keep a tally, for loops that run definitions on them.

The operands of a contraction write into a ledger of their own, from which its
multiply-accumulates are read (the products) and its dot products (the products less
the sums).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy

from flopwise.counts import Counts
from flopwise.tally import Number, maximum


class Tape:
    """Two ledgers: of contractions, and of everything else."""

    def __init__(self) -> None:
        self.products: Counter[str] = Counter()
        self.rest: Counter[str] = Counter()
        self.random = random.Random(1)

    def array(self, *shape: int, contracted: bool = False) -> Any:
        """Random Numbers between 0.5 and 1.5."""
        ledger = self.products if contracted else self.rest
        return filled(shape, lambda _: Number(self.random.uniform(0.5, 1.5), ledger))

    def result(self, sum_: Any) -> Number:
        """What a contraction gave, now an operand of ordinary arithmetic."""
        return Number(sum_.value if isinstance(sum_, Number) else 0.0, self.rest)

    def counts(self) -> Counts:
        products, sums = self.products["mul"], self.products["add"]
        return Counts(mac=products, dot=products - sums, **self.rest)


def filled(shape: Sequence[int], value: Callable[[Any], Any]) -> Any:
    """An array of this shape with a value made at each index."""
    array = numpy.empty(shape, object)
    for index in everywhere(shape):
        array[index] = value(index)
    return array


def everywhere(shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return product(*map(range, shape))


def values(array: Any) -> Any:
    """The values of an array of Numbers, as floats."""
    return numpy.array([x.value for x in array.ravel()]).reshape(array.shape)


def fold(step: Callable[[Any, Any], Any], items: Iterable[Any]) -> Any:
    """Left to right, beginning with the first: n - 1 steps for n items."""
    items = iter(items)
    total = next(items)
    for item in items:
        total = step(total, item)
    return total


def total(items: Iterable[Any]) -> Any:
    return fold(lambda a, b: a + b, items)


def greatest(items: Iterable[Any]) -> Any:
    return fold(maximum, items)
