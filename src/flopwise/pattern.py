"""Axis names for shapes: `"n c *x, weight: f g *k, bias?: f -> n f *y"`.

Operands are separated by commas, axes by spaces. `*x` is any number of axes, `_` an axis
that is ignored, a number an axis of that size. Two `*` in one operand are of one rank.
An operand may be named, and a name ending in `?` marks one that may be absent. The same
text unpacks shapes into axes and, read backwards, fills shapes from axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from flopwise.dims import Dim
from flopwise.errors import ShapeMismatch
from flopwise.graph import Shape


@dataclass(frozen=True)
class Operand:
    """One operand: its name (may be empty), whether it may be absent, its axes."""

    name: str
    optional: bool
    axes: tuple[str, ...]

    def spread(self, rank: int) -> int | None:
        """How many axes each `*` stands for in a shape of this rank; None: it does not fit."""
        stars = sum(a.startswith("*") for a in self.axes)
        rest = rank - len(self.axes) + stars
        if rest < 0 or (rest % stars if stars else rest):
            return None
        return rest // stars if stars else 0

    def takes(self, rank: int) -> bool:
        """Whether a shape of this rank fits."""
        return self.spread(rank) is not None


@dataclass(frozen=True, eq=False)
class Pattern:
    """The operands and results of an operator."""

    text: str
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]

    def fits(self, inputs: Sequence[Shape | None], outputs: Sequence[Shape | None]) -> bool:
        """Whether the ranks of all operands are those of this spelling."""
        sides = [*zip(self.inputs, inputs), *zip(self.outputs, outputs)]
        return all(s is None or o.takes(len(s)) for o, s in sides)

    def bind(
        self, inputs: Sequence[Shape | None], outputs: Sequence[Shape | None]
    ) -> dict[str, Any]:
        """Axis name → size (a tuple for `*` axes), and operand name → 1 or 0 for present.

        Raises ShapeMismatch in the words of the pattern. Operands beyond the pattern
        are ignored; unknown (None) shapes bind nothing.
        """
        bound: dict[str, Any] = {}
        for i, operand in enumerate(self.inputs):
            shape = inputs[i] if i < len(inputs) else None
            if operand.name:
                bound[operand.name] = int(shape is not None)
            if shape is not None:
                self._match(operand, shape, bound)
        for operand, shape in zip(self.outputs, outputs):
            if shape is not None:
                self._match(operand, shape, bound)
        return bound

    def _match(self, operand: Operand, shape: Shape, bound: dict[str, Any]) -> None:
        spread, place = operand.spread(len(shape)), 0
        if spread is None:
            what = operand.name or f"operand '{' '.join(operand.axes)}'"
            raise ShapeMismatch(f"{what} of shape {show(shape)} does not fit '{self.text}'")
        for axis in operand.axes:
            if axis.startswith("*"):
                self._bind(axis[1:], shape[place : place + spread], bound)
                place += spread
            else:
                self._bind(axis, shape[place], bound)
                place += 1

    def _bind(self, axis: str, size: Any, bound: dict[str, Any]) -> None:
        if axis == "_":
            return
        known = int(axis) if axis.isdigit() else bound.get(axis, size)
        same = _same(known, size)
        if same is None:
            raise ShapeMismatch(
                f"axis {axis} is both {show(known)} and {show(size)} ('{self.text}')"
            )
        if not axis.isdigit():
            bound[axis] = same

    def fill(self, operand: Operand, axes: Mapping[str, Any]) -> Shape:
        """The shape of an operand from its axes. Raises KeyError when one is missing."""
        shape: list[Dim] = []
        for axis in operand.axes:
            if axis.startswith("*"):
                shape.extend(axes[axis[1:]])
            else:
                shape.append(int(axis) if axis.isdigit() else axes[axis])
        return tuple(shape)


def _same(a: Any, b: Any) -> Any:
    """Two sizes or spans as one, None if they cannot be; a number says more than a symbol."""
    if a == b:
        return a
    if isinstance(a, tuple):
        parts = tuple(map(_same, a, b))
        return None if len(a) != len(b) or None in parts else parts
    numbers = [size for size in (a, b) if isinstance(size, int)]
    return None if len(numbers) == 2 else (*numbers, a)[0]


def show(size: Any) -> str:
    """A size or a shape as users write it: 3, or 1x3x224x224."""
    return ("x".join(map(str, size)) or "()") if isinstance(size, tuple) else str(size)


@cache
def patterns(text: str) -> tuple[Pattern, ...]:
    """Parse the notation; ` | ` separates spellings for other ranks."""
    sides = [part.partition("->") for part in text.split("|")]
    return tuple(Pattern(text, _operands(a), _operands(b)) for a, _, b in sides)


def _operands(text: str) -> tuple[Operand, ...]:
    operands = []
    for part in filter(str.strip, text.split(",")):
        name, colon, axes = part.rpartition(":")
        label = name.strip() if colon else ""
        operands.append(Operand(label.rstrip("?"), label.endswith("?"), tuple(axes.split())))
    return tuple(operands)
