"""A size: an int, or an integer polynomial in named symbols.

Formulas never know which. Besides symbols, a polynomial may hold three integer
functions, floor division, maximum and minimum, as opaque factors. Two rules keep
nested strides short: multiples leave a floor, `(x + c*q) // q = x//q + c`, and
floors nest, `(x//a) // b = x // (a*b)`; five halvings of H print as `(H + 31)//32`.
Every symbol stands for a positive whole number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import reduce
from typing import Any, NamedTuple, TypeAlias


class Function(NamedTuple):
    """An opaque integer factor: `//`, `max` or `min` of two sizes."""

    name: str
    left: Dim
    right: Dim


Atom: TypeAlias = str | Function
Monomial: TypeAlias = tuple[tuple[Atom, int], ...]
Number: TypeAlias = int | Fraction


class Expr:
    """A polynomial: monomials with their coefficients; never a mere number."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: Mapping[Monomial, Number]) -> None:
        self.terms = dict(terms)
        self._hash: int | None = None

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.terms.items()))
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expr) and self.terms == other.terms

    def __add__(self, other: Any) -> Any:
        terms = _terms(other)
        if terms is NotImplemented:
            return NotImplemented
        return _build([*self.terms.items(), *terms.items()])

    def __mul__(self, other: Any) -> Any:
        terms = _terms(other)
        if terms is NotImplemented:
            return NotImplemented
        return _build(
            [(_join(a, b), p * q) for a, p in self.terms.items() for b, q in terms.items()]
        )

    def __neg__(self) -> Any:
        return self * -1

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __floordiv__(self, other: Any) -> Any:
        return floordiv(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return floordiv(other, self)

    def __truediv__(self, other: int) -> Any:
        return self * Fraction(1, other)

    def __mod__(self, other: Any) -> Any:
        return self - other * floordiv(self, other)

    def __pow__(self, power: int) -> Any:
        return prod([self] * power)

    __radd__ = __add__
    __rmul__ = __mul__

    def __repr__(self) -> str:
        return render(self)


Dim: TypeAlias = int | Expr


def symbol(name: str) -> Expr:
    """A free size. Characters that no expression could hold become `_`."""
    return Expr({((re.sub(r"\W", "_", name) or "_", 1),): 1})


def symbols(dim: Dim) -> set[str]:
    """The names that a size depends on."""
    found: set[str] = set()
    for monomial in dim.terms if isinstance(dim, Expr) else ():
        for atom, _ in monomial:
            found |= {atom} if isinstance(atom, str) else symbols(atom.left) | symbols(atom.right)
    return found


def prod(dims: Iterable[Any]) -> Any:
    """The product; 1 for none."""
    return reduce(lambda a, b: a * b, dims, 1)


def floordiv(a: Dim, b: Dim) -> Dim:
    """The floor of a / b, exact wherever the division has no remainder."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if isinstance(b, int):
        return _floor_by_int(a, b)
    exact = _exact(a, b)
    return exact if exact is not None else _atom("//", a, b)


def ceildiv(a: Dim, b: Dim) -> Dim:
    """The ceiling of a / b."""
    return floordiv(a + b - 1, b)


def divide(a: Any, b: Dim) -> Any:
    """a / b: exact where there is no remainder, else a float, or in letters a floor."""
    whole = floordiv(a, b)
    exact = not isinstance(a, int) or not isinstance(b, int) or whole * b == a
    return whole if exact else a / b


def maximum(a: Dim, b: Dim) -> Dim:
    """The larger of two sizes, decided wherever positive symbols decide it."""
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    if at_least(a, b):
        return a
    return b if at_least(b, a) else _atom("max", *sorted((a, b), key=str))


def minimum(a: Dim, b: Dim) -> Dim:
    """The smaller of two sizes, decided wherever positive symbols decide it."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    if at_least(b, a):
        return a
    return b if at_least(a, b) else _atom("min", *sorted((a, b), key=str))


def at_least(a: Dim, b: Dim) -> bool:
    """Whether a >= b holds for all positive values of the symbols (False: not proven)."""
    return (lowest := _lowest(a - b)) is not None and lowest >= 0


def at(dim: Any, sizes: Mapping[str, Any]) -> Any:
    """The size with symbols replaced by ints, expressions or numpy arrays."""
    if not isinstance(dim, Expr):
        return dim
    total: Any = 0
    for monomial, coefficient in dim.terms.items():
        total = total + prod([coefficient, *(_atom_at(a, sizes) ** p for a, p in monomial)])
    return total.numerator if isinstance(total, Fraction) and total.denominator == 1 else total


def render(dim: Dim, order: Sequence[str] = (), times: str = "*") -> str:
    """The size as text that Python can read; `order` puts some factors first."""
    if not isinstance(dim, Expr):
        return str(dim)
    rank = {name: i for i, name in enumerate(order)}

    def place(factor: tuple[Atom, int]) -> tuple[int, str]:
        return rank.get(str(factor[0]), len(rank)), _atom_text(factor[0])

    def term(monomial: Monomial, coefficient: Number) -> str:
        factors = [
            _atom_text(a) + (f"**{p}" if p > 1 else "") for a, p in sorted(monomial, key=place)
        ]
        head = [str(abs(coefficient))] if abs(coefficient) != 1 or not factors else []
        return times.join(head + factors)

    ordered = sorted(
        dim.terms.items(), key=lambda t: (-sum(p for _, p in t[0]), str(sorted(map(place, t[0]))))
    )
    text = "".join(f" {'-' if c < 0 else '+'} {term(m, c)}" for m, c in ordered)
    return text[3:] if text.startswith(" + ") else "-" + text[3:]


def _terms(value: Any) -> Any:
    if isinstance(value, Expr):
        return value.terms
    return {(): value} if isinstance(value, (int, Fraction)) else NotImplemented


def _build(terms: Iterable[tuple[Monomial, Number]]) -> Dim:
    total: dict[Monomial, Number] = {}
    for monomial, coefficient in terms:
        total[monomial] = total.get(monomial, 0) + coefficient
    total = {m: c for m, c in total.items() if c != 0}
    if total.keys() <= {()}:
        return total.get((), 0)  # type: ignore[return-value]
    return Expr(total)


def _join(a: Monomial, b: Monomial) -> Monomial:
    if not a or not b:
        return a or b
    powers: dict[Atom, int] = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: str(item[0])))


def _atom(name: str, left: Dim, right: Dim) -> Expr:
    return Expr({((Function(name, left, right), 1),): 1})


def _floor_by_int(a: Dim, b: int) -> Dim:
    if any(isinstance(c, Fraction) for c in _terms(a).values()):
        return _atom("//", a, b)
    whole = _build((m, c // b) for m, c in _terms(a).items())
    rest = _build((m, c % b) for m, c in _terms(a).items())
    if isinstance(rest, int):
        return whole + rest // b
    inner = [(m, c) for m, c in rest.terms.items() if m]
    (monomial, coefficient), atom = inner[0], inner[0][0][0][0]
    nested = len(inner) == 1 and coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1
    if nested and isinstance(atom, Function) and atom.name == "//" and isinstance(atom.right, int):
        offset: Any = rest.terms.get((), 0)
        return whole + floordiv(atom.left + offset * atom.right, atom.right * b)
    return whole + _atom("//", rest, b)


def _exact(a: Dim, b: Expr) -> Dim | None:
    """Long division of polynomials; None when a remainder is left."""
    quotient: Dim = 0
    lead = max(b.terms, key=_rank)
    for _ in range(64):
        if a == 0:
            return quotient
        top = max(_terms(a), key=_rank)
        powers = dict(top)
        for atom, power in lead:
            powers[atom] = powers.get(atom, 0) - power
        ratio = Fraction(_terms(a)[top]) / Fraction(b.terms[lead])
        if min(powers.values(), default=0) < 0 or ratio.denominator != 1:
            return None
        factor = tuple((k, p) for k, p in powers.items() if p)
        step = _build([(tuple(sorted(factor, key=lambda f: str(f[0]))), ratio.numerator)])
        quotient, a = quotient + step, a - step * b
    return None


def _rank(monomial: Monomial) -> tuple[int, str]:
    return sum(p for _, p in monomial), str(monomial)


def _lowest(dim: Dim) -> int | Fraction | None:
    """A lower bound when every coefficient of a non-constant term is positive."""
    if not isinstance(dim, Expr):
        return dim
    if any(m and c < 0 for m, c in dim.terms.items()):
        return None
    bounds = [c * prod(_atom_lowest(a) for a, _ in m) for m, c in dim.terms.items()]
    return sum(bounds)


def _atom_lowest(atom: Atom) -> int:
    if isinstance(atom, str):
        return 1
    low, other = _lowest(atom.left), _lowest(atom.right)
    if low is None or other is None:
        return 0
    if atom.name == "//":
        return int(low // atom.right) if isinstance(atom.right, int) else 0
    return int(max(low, other) if atom.name == "max" else min(low, other))


def _atom_at(atom: Atom, sizes: Mapping[str, Any]) -> Any:
    if isinstance(atom, str):
        return sizes.get(atom, symbol(atom))
    left, right = at(atom.left, sizes), at(atom.right, sizes)
    if isinstance(left, (int, Expr)) and isinstance(right, (int, Expr)):
        return FUNCTIONS[atom.name](left, right)
    import numpy

    return {"//": numpy.floor_divide, "max": numpy.maximum, "min": numpy.minimum}[atom.name](
        left, right
    )


def _atom_text(atom: Atom) -> str:
    if isinstance(atom, str):
        return atom
    if atom.name == "//":
        right = str(atom.right) if isinstance(atom.right, int) else f"({atom.right})"
        return (
            f"(({atom.left})//{right})" if len(_terms(atom.left)) > 1 else f"({atom.left}//{right})"
        )
    return f"{atom.name}({atom.left}, {atom.right})"


FUNCTIONS: dict[str, Callable[[Dim, Dim], Dim]] = {
    "//": floordiv,
    "max": maximum,
    "min": minimum,
}
