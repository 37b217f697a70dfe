"""Fold rules of reductions and running sums of constants."""

from __future__ import annotations

from functools import reduce
from typing import Any

from flopwise import arrays as numpy
from flopwise.ops import reduction  # noqa: F401 - the operators must be entered
from flopwise.ops.fold_pointwise import BINARY, elementwise
from flopwise.ops.folding import Array, Undecided, folds, ints, symbolic

# Per operator: numpy's reduction of plain numbers, and the pairwise operator of symbols.
REDUCTIONS = {
    "reduce_sum": ("sum", "add"),
    "reduce_prod": ("prod", "mul"),
    "reduce_max": ("max", "max"),
    "reduce_min": ("min", "min"),
    "reduce_any": ("any", "or"),
    "reduce_all": ("all", "and"),
}


def _enter_reduction(name: str, whole: str, pairwise: str) -> None:
    @folds(name)
    def fold(
        arrays: list[Array], axes: Any = None, keep: bool = True, none_is_all: bool = False
    ) -> Array:
        value = arrays[0]
        if axes is None and len(arrays) > 1 and arrays[1] is not None:
            axes = ints(arrays[1]) or (None if none_is_all else [])
        gone = tuple(a % value.ndim for a in axes) if axes is not None else None
        if value.size == 0 and whole in ("max", "min"):
            raise Undecided
        if not symbolic(value):
            return numpy.asarray(getattr(numpy, whole)(value, axis=gone, keepdims=keep))
        gone = tuple(range(value.ndim)) if gone is None else gone
        for axis in sorted(gone, reverse=True):
            rows = [numpy.asarray(r, dtype=object) for r in numpy.moveaxis(value, axis, 0)]
            value = reduce(lambda a, b: elementwise(*BINARY[pairwise], [a, b]), rows)
            value = numpy.expand_dims(value, axis) if keep else value
        return value


for _name, (_whole, _pairwise) in REDUCTIONS.items():
    _enter_reduction(_name, _whole, _pairwise)


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
