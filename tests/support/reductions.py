"""Pooling, norms and reductions as loops over their definitions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy

from flopwise.tally import Number, absolute, exp, log, sqrt
from support.contractions import Pads, padded, starts, taps
from support.tape import everywhere, filled, greatest, total


def starts_over(length: int, window: int, stride: int, before_end: int | None) -> list[int]:
    """Windows until one reaches the end, and if need be beyond it; none from `before_end` on."""
    begun = [0]
    while begun[-1] + window < length:
        begun.append(begun[-1] + stride)
    return [i for i in begun if before_end is None or i < before_end]


def pool(
    x: Any, k: Any, stride: Any, pad: Pads, dilation: Any, ceil: Any, one: Callable[[Any], Any]
) -> Any:
    """`one` of the elements under each window; padding is elements."""
    windows = [(t - 1) * d + 1 for t, d in zip(k, dilation)]
    begin = [p for p, _ in pad]
    axes = zip(x.shape[2:], padded(x, pad).shape[2:], windows, stride, begin)
    places = [
        starts_over(wide, window, s, None if ceil == "full" else size + p)
        if ceil else starts(wide, window, s)
        for size, wide, window, s, p in axes
    ]  # fmt: skip
    beyond = [(p, e + window + s) for (p, e), window, s in zip(pad, windows, stride)]
    x = padded(x, beyond)

    def under(index: Any) -> Any:
        start = [axis[i] for axis, i in zip(places, index[2:])]
        return one([x[(*index[:2], *place)] for place, _ in taps(start, k, dilation)])

    return filled((*x.shape[:2], *map(len, places)), under)


def adaptive_pool(x: Any, y: Sequence[int], one: Callable[[Any], Any]) -> Any:
    """Window i of y goes from floor(i x/y) to ceil((i + 1) x/y)."""

    def under(index: Any) -> Any:
        spans = [
            range(math.floor(i * a / b), math.ceil((i + 1) * a / b))
            for i, a, b in zip(index[2:], x.shape[2:], y)
        ]
        return one([x[(*index[:2], *place)] for place in product(*spans)])

    return filled((*x.shape[:2], *y), under)


def mean(items: Sequence[Any]) -> Any:
    return total(items) / len(items)


def norm(items: Sequence[Any], p: float = 2) -> Any:
    """The p-th root of the sum of |x|^p."""
    if p == 1:
        return total(absolute(x) for x in items)
    if p == 2:
        return sqrt(total(x * x for x in items))
    return exp(log(total(exp(log(absolute(x)) * p) for x in items)) / p)


def standardized(items: Sequence[Any], centre: bool = True) -> list[Any]:
    """(x - mean) / sqrt(variance + eps); without the mean, x / sqrt(mean square + eps)."""
    if centre:
        middle = mean(items)
        items = [x - middle for x in items]
    deviation = sqrt(mean([x * x for x in items]) + 1e-5)
    return [x / deviation for x in items]


def softmax(items: Sequence[Any]) -> list[Any]:
    top = greatest(items)
    powers = [exp(x - top) for x in items]
    whole = total(powers)
    return [x / whole for x in powers]


def hardmax(items: Sequence[Any]) -> list[Any]:
    top = greatest(items)
    return [Number(float(x.value == top.value), x.ledger) for x in items]


def log_softmax(items: Sequence[Any]) -> list[Any]:
    top = greatest(items)
    lower = [x - top for x in items]
    whole = log(total(exp(x) for x in lower))
    return [x - whole for x in lower]


def along(x: Any, axes: Sequence[int], each: Callable[[Any], Sequence[Any]]) -> Any:
    """`each` applied to the elements of every slice that spans these axes."""
    axes = [a % x.ndim for a in axes]
    others = [i for i in range(x.ndim) if i not in axes]
    y = numpy.empty(x.shape, object)
    for index in everywhere([x.shape[i] for i in others]):
        place = tuple(index[others.index(i)] if i in others else slice(None) for i in range(x.ndim))
        part = numpy.asarray(x[place], object)
        made = numpy.empty(part.size, object)
        made[:] = each([*part.ravel()])
        y[place] = made.reshape(part.shape) if part.shape else made[0]
    return y


def reduced(x: Any, axes: Sequence[int], one: Callable[[Any], Any]) -> Any:
    """`one` of the elements of every slice that spans these axes, which stay with size 1."""
    axes = [a % x.ndim for a in axes]
    shape = [1 if i in axes else s for i, s in enumerate(x.shape)]

    def at(index: Any) -> Any:
        place = tuple(slice(None) if i in axes else j for i, j in enumerate(index))
        return one([*numpy.atleast_1d(x[place]).ravel()])

    return filled(shape, at)
