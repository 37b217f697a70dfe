"""Polynomials at many points at once: exact, and in machine integers wherever they suffice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import reduce
from math import lcm
from typing import Any

import numpy

from flopwise.dims import Dim, Expr, Function, Monomial
from flopwise.errors import ShapeMismatch

ROOM = 2**62


class Points:
    """Sizes by name, one array each. What polynomials share is evaluated once."""

    def __init__(self, columns: Mapping[str, Sequence[int]]) -> None:
        self.columns = {name: numpy.array(values, numpy.int64) for name, values in columns.items()}
        self.count = len(next(iter(self.columns.values())))
        self._found: dict[Expr, Any] = {}
        self._atoms: dict[str, Any] = {}
        self._monomials: dict[Monomial, tuple[Any, int]] = {}

    def at(self, place: int) -> dict[str, int]:
        """The sizes of one point."""
        return {name: int(values[place]) for name, values in self.columns.items()}

    def of(self, size: Dim) -> Any:
        """The values of a size at all points: an array of whole numbers, or of Fractions."""
        if not isinstance(size, Expr):
            small = isinstance(size, int) and abs(size) < ROOM
            return numpy.full(self.count, size, numpy.int64 if small else object)
        if size not in self._found:
            self._found[size] = self._sum(size)
        return self._found[size]

    def largest(self, sizes: Iterable[Dim]) -> Any:
        """The largest of some sizes at each point; 0 of none."""
        found = [self.of(size) for size in dict.fromkeys(sizes)]
        return reduce(numpy.maximum, found, numpy.zeros(self.count, numpy.int64))

    def _sum(self, size: Expr) -> Any:
        scale = lcm(*(c.denominator for c in size.terms.values()))
        terms = [(int(c * scale), self._monomial(m)) for m, c in size.terms.items()]
        fits = sum(abs(c) * bound for c, (_, bound) in terms) < ROOM
        total: Any = 0
        for coefficient, (values, _) in terms:
            total = total + coefficient * (values if fits else values.astype(object))
        if scale == 1:
            return total
        if not (total % scale).any():
            return total // scale
        return numpy.array([Fraction(int(t), scale) for t in total], object)

    def _monomial(self, monomial: Monomial) -> tuple[Any, int]:
        """Values, and a number that none of them exceeds."""
        if monomial not in self._monomials:
            values: Any = numpy.ones(self.count, numpy.int64)
            bound = 1
            for atom, power in monomial:
                factor = self._atom(atom)
                for _ in range(power):
                    bound *= max(1, *(abs(int(end)) for end in (factor.min(), factor.max())))
                    values = values * (factor if bound < ROOM else factor.astype(object))
            self._monomials[monomial] = values, bound
        return self._monomials[monomial]

    def _atom(self, atom: str) -> Any:
        if atom not in self._atoms:
            name = atom.parts[0] if isinstance(atom, Function) else ""
            if not isinstance(atom, Function):
                self._atoms[atom] = self.columns[atom]
            else:
                left, right = (self.of(part) for part in atom.parts[1:])
                if name == "//" and (right == 0).any():
                    raise ShapeMismatch(f"{atom} divides by 0 at {self.at((right == 0).argmax())}")
                self._atoms[atom] = FUNCTIONS[name](left, right)
        return self._atoms[atom]


FUNCTIONS = {"//": numpy.floor_divide, "max": numpy.maximum, "min": numpy.minimum}
