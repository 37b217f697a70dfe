"""Contractions as loops over their definitions. Nothing here knows a formula."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy

from flopwise.tally import Number
from support.tape import Tape, everywhere, filled, total

Pads = Sequence[tuple[int, int]]


def padded(x: Any, pads: Pads) -> Any:
    """Zeros before and after each axis but the first two."""
    some = x.ravel()[0]
    shape = (*x.shape[:2], *(a + b + e for a, (b, e) in zip(x.shape[2:], pads)))
    wide = filled(shape, lambda _: Number(0.0, some.ledger))
    inside = tuple(slice(b, b + a) for a, (b, _) in zip(x.shape[2:], pads))
    wide[(slice(None), slice(None), *inside)] = x
    return wide


def starts(length: int, window: int, stride: int) -> list[int]:
    """Where windows begin that lie wholly on an axis."""
    return [i for i in range(0, length, stride) if i + window <= length]


def taps(start: Sequence[int], k: Sequence[int], dilation: Sequence[int]) -> Iterator[Any]:
    """The places under a window, each with its place in the kernel."""
    for tap in everywhere(k):
        yield tuple(s + t * d for s, t, d in zip(start, tap, dilation)), tap


def conv(
    tape: Tape, x: Any, w: Any, bias: Any, stride: Any, pad: Pads, dilation: Any, groups: int = 1
) -> Any:
    x, (f, g, *k) = padded(x, pad), w.shape
    windows = [(t - 1) * d + 1 for t, d in zip(k, dilation)]
    places = [starts(*axis) for axis in zip(x.shape[2:], windows, stride)]

    def one(index: Any) -> Any:
        n, o, *y = index
        start = [axis[i] for axis, i in zip(places, y)]
        first = o // (f // groups) * g
        terms = (
            x[(n, first + c, *place)] * w[(o, c, *tap)]
            for c in range(g) for place, tap in taps(start, k, dilation)
        )  # fmt: skip
        y = tape.result(total(terms))
        return y if bias is None else y + bias[o]

    return filled((x.shape[0], f, *map(len, places)), one)


def conv_transpose(
    tape: Tape, x: Any, w: Any, bias: Any, stride: Any, pad: Pads, dilation: Any,
    output_pad: Any, groups: int,
) -> Any:  # fmt: skip
    """Each input is spread over a kernel's extent; what meets is added; then margins go.

    None when nothing is left."""
    n, c, *space = x.shape
    _, g, *k = w.shape
    spread: dict[Any, Any] = {}
    for (b, i, *at), o, tap in product(everywhere(x.shape), range(g), everywhere(k)):
        place = tuple(a * s + t * d for a, s, t, d in zip(at, stride, tap, dilation))
        key = (b, i // (c // groups) * g + o, *place)
        term = x[(b, i, *at)] * w[(i, o, *tap)]
        spread[key] = spread[key] + term if key in spread else term
    full = [(a - 1) * s + d * (t - 1) + 1 for a, s, d, t in zip(space, stride, dilation, k)]
    kept = [a - p - q + o for a, (p, q), o in zip(full, pad, output_pad)]
    if min(kept) < 1:
        return None

    def one(index: Any) -> Any:
        key = (*index[:2], *(i + p for i, (p, _) in zip(index[2:], pad)))
        y = tape.result(spread.get(key))
        return y if bias is None else y + bias[index[1]]

    return filled((n, groups * g, *kept), one)


def deform_conv(
    tape: Tape, x: Any, w: Any, bias: Any, stride: Any, pad: Pads, dilation: Any, groups: int,
    modulated: bool,
) -> Any:  # fmt: skip
    """Samples between neighbours, weighed by nearness (and once more), then a convolution."""
    x, k = padded(x, pad), w.shape[2:]
    windows = [(t - 1) * d + 1 for t, d in zip(k, dilation)]
    places = [starts(*axis) for axis in zip(x.shape[2:], windows, stride)]
    near, weight = tape.array(2 ** len(k)), tape.array(1)[0]

    def sample(n: int, c: int, place: Any) -> Any:
        corners = [min(p + e, a - 1) for p, e, a in zip(place, (1, 0, 1), x.shape[2:])]
        blend = total(nearness * x[(n, c, *corners)] for nearness in near)
        return blend * weight if modulated else blend

    sampled = numpy.empty((*x.shape[:2], *(len(p) * t for p, t in zip(places, k))), object)
    for (n, c), y in product(everywhere(x.shape[:2]), everywhere([*map(len, places)])):
        for place, tap in taps([p[i] for p, i in zip(places, y)], k, dilation):
            into = (n, c, *(i * t + j for i, t, j in zip(y, k, tap)))
            sampled[into] = Number(sample(n, c, place).value, tape.products)
    return conv(tape, sampled, w, bias, k, [(0, 0)] * len(k), [1] * len(k), groups)


def local_conv(tape: Tape, x: Any, w: Any, bias: Any, stride: Any, pads: Pads) -> Any:
    """A filter of its own at each position: weights are y…, f, c, k…."""
    x, rank = padded(x, pads), x.ndim - 2
    f, k = w.shape[rank], w.shape[rank + 2 :]
    places = [starts(*axis) for axis in zip(x.shape[2:], k, stride)]

    def one(index: Any) -> Any:
        n, o, *y = index
        start = [axis[i] for axis, i in zip(places, y)]
        terms = (
            x[(n, c, *place)] * w[(*y, o, c, *tap)]
            for c in range(x.shape[1]) for place, tap in taps(start, k, [1] * rank)
        )  # fmt: skip
        sum_ = tape.result(total(terms))
        return sum_ if bias is None else sum_ + bias[(o, *y)]

    return filled((x.shape[0], f, *map(len, places)), one)


def matmul(tape: Tape, a: Any, b: Any) -> Any:
    """As numpy has it: vectors, and batch axes that broadcast."""
    rows, columns = a.ndim > 1, b.ndim > 1
    a, b = (a if rows else a[None]), (b if columns else b[:, None])
    batch = numpy.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (numpy.broadcast_to(m, (*batch, *m.shape[-2:])) for m in (a, b))

    def one(index: Any) -> Any:
        *outer, i, j = index
        terms = (a[(*outer, i, t)] * b[(*outer, t, j)] for t in range(a.shape[-1]))
        return tape.result(total(terms))

    y = filled((*batch, a.shape[-2], b.shape[-1]), one)
    y = y if columns else y[..., 0]
    return y if rows else (y[..., 0, :] if columns else y[..., 0])


def contract(
    a: Any, left: Sequence[str], b: Any, right: Sequence[str], kept: Sequence[str],
    times: Any = operator.mul,
) -> Any:  # fmt: skip
    """The sum over all letters but the kept ones of the products of two arrays."""
    sizes: dict[str, int] = {}
    for letter, size in [*zip(left, a.shape), *zip(right, b.shape)]:
        sizes[letter] = max(size, sizes.get(letter, 1))
    summed = [letter for letter in sizes if letter not in kept]

    def entry(array: Any, letters: Sequence[str], at: dict[str, int]) -> Any:
        return array[tuple(min(at[v], size - 1) for v, size in zip(letters, array.shape))]

    def one(index: Any) -> Any:
        fixed = dict(zip(kept, index))
        ways = ({**fixed, **dict(zip(summed, i))} for i in everywhere([sizes[v] for v in summed]))
        return total(times(entry(a, left, at), entry(b, right, at)) for at in ways)

    return filled([sizes[letter] for letter in kept], one)


def spell(equation: str, ranks: Sequence[int]) -> tuple[list[list[str]], list[str]]:
    """The letters of each operand and of the result; an ellipsis becomes capitals."""
    left, arrow, right = equation.partition("->")
    parts = left.split(",")
    plain = [len(part.replace("...", "")) for part in parts]
    most = max(rank - letters for rank, letters in zip(ranks, plain))
    batch = [*"ABCDEF"[:most]]

    def letters(part: str, of_batch: int) -> list[str]:
        before, dots, after = part.partition("...")
        return [*before, *(batch[most - of_batch :] if dots else []), *after]

    terms = [letters(p, rank - count) for p, rank, count in zip(parts, ranks, plain)]
    once = sorted(v for v in set(left) - set(".,") if left.count(v) == 1)
    return terms, letters(right, most) if arrow else [*batch, *once]


def einsum(tape: Tape, equation: str, arrays: Sequence[Any]) -> Any:
    """Two operands at a time, left to right, summing what is not needed later."""
    terms, result = spell(equation, [a.ndim for a in arrays])
    if len(arrays) == 1:
        one = numpy.array(1)
        return contract(arrays[0], terms[0], one, [], result, lambda a, _: a)
    y, have = arrays[0], terms[0]
    for i, (array, term) in enumerate(zip(arrays[1:], terms[1:]), 2):
        later = {*result, *(v for t in terms[i:] for v in t)}
        kept = sorted({*have, *term} & later) if i < len(arrays) else result
        y, have = contract(y, have, array, term, kept), kept
    return filled(y.shape, lambda index: tape.result(y[index]))
