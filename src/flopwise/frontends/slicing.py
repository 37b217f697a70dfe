"""TensorFlow's strided slices, which TFLite and OpenVINO have too: Python's, told by bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

END = 2**31 - 1
Bit = Callable[[str, int], bool]


class Slices(NamedTuple):
    """Starts, ends and steps along some axes; then axes to drop; then places of new ones."""

    axes: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    steps: tuple[int, ...]
    dropped: tuple[int, ...]
    new: tuple[int, ...]


def strided(
    begin: Sequence[int], end: Sequence[int], stride: Sequence[int], bit: Bit, rank: int
) -> Slices:
    """What x[begin:end:stride, ...] of `rank` axes means under masks.

    `bit(mask, i)` tells whether the i-th part is a position ("shrink_axis"), a new axis
    ("new_axis"), `...` ("ellipsis"), or open at either end ("begin", "end").
    """
    count = len(begin)
    new = [i for i in range(count) if bit("new_axis", i) and not bit("ellipsis", i)]
    spans, dropped, places = [], [], []
    axis = place = 0
    for i in range(count):
        if bit("ellipsis", i):
            skipped = rank - (count - len(new) - 1)
            axis, place = axis + skipped, place + skipped
        elif i in new:
            places.append(place)
            place += 1
        else:
            single = bit("shrink_axis", i)
            spans.append((axis, *_limits(begin[i], end[i], stride[i], single, bit, i)))
            if single:
                dropped.append(axis)
            axis, place = axis + 1, place + (not single)
    axes, starts, ends, steps = zip(*spans) if spans else ((),) * 4
    return Slices(axes, starts, ends, steps, tuple(dropped), tuple(places))


def _limits(
    begin: int, end: int, stride: int, single: bool, bit: Bit, i: int
) -> tuple[int, int, int]:
    if single:
        return begin, END if begin == -1 else begin + 1, 1
    first, last = (0, END) if stride > 0 else (END, -END)
    return first if bit("begin", i) else begin, last if bit("end", i) else end, stride
