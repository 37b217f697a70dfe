"""Fold rules of reductions and running sums of constants."""

from __future__ import annotations

import operator
from functools import reduce
from typing import Any

import numpy

from flopwise import dims
from flopwise.ops import reduction  # noqa: F401 - the operators must be entered
from flopwise.ops.fold_pointwise import Function, elementwise, undecided
from flopwise.ops.folding import Array, Undecided, folds, ints, symbolic

REDUCTIONS: dict[str, tuple[Function, Function]] = {
    "reduce_sum": (numpy.sum, operator.add),
    "reduce_prod": (numpy.prod, operator.mul),
    "reduce_max": (numpy.max, dims.maximum),
    "reduce_min": (numpy.min, dims.minimum),
    "reduce_any": (numpy.any, undecided),
    "reduce_all": (numpy.all, undecided),
}


def _enter_reduction(name: str, plain: Function, symbols: Function) -> None:
    @folds(name)
    def fold(
        arrays: list[Array], axes: Any = None, keep: bool = True, none_is_all: bool = False
    ) -> Array:
        value = arrays[0]
        if axes is None and len(arrays) > 1 and arrays[1] is not None:
            axes = ints(arrays[1]) or (None if none_is_all else [])
        gone = tuple(a % value.ndim for a in axes) if axes is not None else None
        if value.size == 0 and plain in (numpy.max, numpy.min):
            raise Undecided
        if not symbolic(value):
            return numpy.asarray(plain(value, axis=gone, keepdims=keep))
        gone = tuple(range(value.ndim)) if gone is None else gone
        for axis in sorted(gone, reverse=True):
            rows = [numpy.asarray(r, dtype=object) for r in numpy.moveaxis(value, axis, 0)]
            value = reduce(lambda a, b: elementwise(plain, symbols, [a, b]), rows)
            value = numpy.expand_dims(value, axis) if keep else value
        return value


for _name, (_plain, _symbols) in REDUCTIONS.items():
    _enter_reduction(_name, _plain, _symbols)


@folds("cumsum")
def cumsum(
    arrays: list[Array], axis: Any = None, exclusive: Any = None, reverse: Any = None
) -> Array:
    """Followed where the format says whether an element's own sum includes it, and from
    which end."""
    if exclusive is None or reverse is None or (axis is None and len(arrays) < 2):
        raise Undecided
    axis = ints(arrays[1])[0] if axis is None else axis
    value = numpy.flip(arrays[0], axis) if reverse else arrays[0]
    total = numpy.cumsum(value, axis)
    total = total - value if exclusive else total
    return numpy.flip(total, axis) if reverse else total
