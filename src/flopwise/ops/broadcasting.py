"""Broadcasting: how shapes of unlike rank and size combine, as numpy has it."""

from __future__ import annotations

from functools import lru_cache

from flopwise.dims import Dim
from flopwise.errors import ShapeMismatch
from flopwise.graph import Shape


@lru_cache(maxsize=4096)
def broadcast(*shapes: Shape) -> Shape:
    """The common shape. A free size against a number other than 1 takes the number.

    Raises ShapeMismatch naming the axis, counted from the last as -1.
    """
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(s)) + s for s in shapes]
    return tuple(_axis(sizes, i - rank) for i, sizes in enumerate(zip(*padded)))


def _axis(sizes: tuple[Dim, ...], axis: int) -> Dim:
    wide = list(dict.fromkeys(s for s in sizes if s != 1))
    numbers = [s for s in wide if isinstance(s, int)]
    if len(numbers) > 1:
        raise ShapeMismatch(f"axis {axis} is both {numbers[0]} and {numbers[1]}")
    return (numbers or wide or [1])[0]
