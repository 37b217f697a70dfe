"""The algebra of elementary things: what a piece of a network does, counted one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from operator import attrgetter
from typing import Any

from flopwise import dims
from flopwise.dims import Dim, Expr


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of each elementary operation, and the bytes moved.

    `mac` are multiply-accumulates of contractions and `dot` the dot products they
    form, so that n multiplications and n - 1 additions each can be read exactly.
    Negation and subtraction are `add`; comparison, selection and absolute value are
    `cmp`; rounding, logic and shifts are `bit`; `trig` holds sine, cosine and kin.
    """

    mac: Dim = 0
    dot: Dim = 0
    add: Dim = 0
    mul: Dim = 0
    div: Dim = 0
    cmp: Dim = 0
    exp: Dim = 0
    log: Dim = 0
    sqrt: Dim = 0
    trig: Dim = 0
    erf: Dim = 0
    bit: Dim = 0
    read: Dim = 0
    write: Dim = 0

    def __add__(self, other: Counts) -> Counts:
        if self is ZERO or other is ZERO:
            return self if other is ZERO else other
        return Counts(*[a + b if b else a for a, b in zip(_values(self), _values(other))])

    def __sub__(self, other: Counts) -> Counts:
        return self + -1 * other

    def __rmul__(self, times: Dim) -> Counts:
        return Counts(*[times * a if a else 0 for a in _values(self)])

    def moving(self, read: Dim, write: Dim) -> Counts:
        """The same with so many bytes read and written besides."""
        *rest, before, after = _values(self)
        return Counts(*[*rest, before + read, after + write])

    def at(self, **sizes: Dim) -> Counts:
        """The counts with symbols replaced."""
        return Counts(*(dims.at(a, sizes) for a in _values(self)))

    @property
    def flops(self) -> Dim:
        """2 x the multiply-accumulates."""
        return self.mac * 2

    @property
    def ops(self) -> Dim:
        """Every elementary operation: a dot product of length n is 2n - 1."""
        return self.weigh(OPS)

    @property
    def bytes(self) -> Dim:
        """Bytes read and written: the memory access cost."""
        return self.read + self.write

    def weigh(self, weights: Mapping[str, Any]) -> Any:
        """The sum of counts, each times its weight."""
        total: Any = 0
        for name, weight in weights.items():
            if amount := getattr(self, name):
                total = total + amount * weight
        return total

    def items(self) -> list[tuple[str, Dim]]:
        """The kinds that occur, with their amounts."""
        return [(f, v) for f, v in zip(FIELDS, _values(self)) if v != 0]


FIELDS = tuple(f.name for f in fields(Counts))
ELEMENTARY = tuple(f for f in FIELDS if f not in ("mac", "dot", "read", "write"))
OPS = {"mac": 2, "dot": -1, **dict.fromkeys(ELEMENTARY, 1)}
_values = attrgetter(*FIELDS)
ZERO = Counts()


def together(parts: Iterable[Counts]) -> Counts:
    """The sum of counts, a kind at a time: one by one would make as many objects."""
    listed = [*parts]
    if len(listed) == 1:
        return listed[0]
    return Counts(*map(summed, zip(*map(_values, listed))))


def summed(amounts: Iterable[Any]) -> Any:
    """The sum of amounts; those in letters are gathered in one polynomial."""
    number, terms = 0, dict[Any, Any]()
    for amount in amounts:
        if isinstance(amount, Expr):
            for monomial, coefficient in amount.terms.items():
                terms[monomial] = terms.get(monomial, 0) + coefficient
        else:
            number += amount
    return Expr(terms) + number if terms else number


def divide(a: Any, b: Dim) -> Any:
    """a / b: an int, or a Fraction of what leaves a remainder; by letters, the floor."""
    if isinstance(b, Expr):
        return dims.floordiv(a, b)
    quotient = a * Fraction(1, b)
    return int(quotient) if getattr(quotient, "denominator", 0) == 1 else quotient


def decimal(value: Any) -> Any:
    """A Fraction as the float that counters print; anything else as it is."""
    return float(value) if isinstance(value, Fraction) else value


def dots(number: Dim, length: Dim) -> Counts:
    """`number` dot products of `length` terms each."""
    return Counts(mac=number * length, dot=number)
