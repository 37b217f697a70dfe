"""A size: an int, or an integer polynomial in named symbols, each a positive whole number.

Formulas never know which. A polynomial may also hold floor division, maximum and minimum as
opaque factors. Multiples leave a floor, floors nest, `(x//a)//b = x//(a*b)`, and common
factors cancel: H halved five times is `((H + 31)//32)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import permutations
from keyword import iskeyword
from numbers import Rational
from typing import Any, TypeAlias
from unicodedata import normalize

from flopwise.errors import FlopwiseError


class Function(str):
    """`//`, `max` or `min` of two sizes: a factor that is its own text, as a symbol is."""

    __slots__ = ("divisor", "parts")
    parts: tuple[str, Dim, Dim]
    divisor: int

    def __new__(cls, name: str, left: Dim, right: Dim) -> Function:
        text = f"{name}({left}, {right})"
        if name == "//":
            above = f"({left})" if isinstance(left, Expr) and len(left.terms) > 1 else left
            text = f"({above}//({right}))" if isinstance(right, Expr) else f"({above}//{right})"
        function = super().__new__(cls, text)
        function.parts = name, left, right
        function.divisor = right if name == "//" and isinstance(right, int) else 0
        return function

    def __getnewargs__(self) -> Any:
        return self.parts


Monomial: TypeAlias = tuple[tuple[str, int], ...]
prod: Callable[[Iterable[Any]], Any] = math.prod


class Expr:
    """A polynomial: monomials with their coefficients; never a mere number."""

    __slots__ = ("hashed", "terms")

    def __init__(self, terms: Mapping[Monomial, Any]) -> None:
        self.terms, self.hashed = terms, 0

    def __hash__(self) -> int:  # found once: shapes are looked up over and over
        self.hashed = self.hashed or hash(frozenset(self.terms.items()))
        return self.hashed

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Expr) and self.terms == other.terms)

    def __add__(self, other: Any) -> Any:
        if (terms := _terms(other)) is None:
            return NotImplemented
        total = dict(self.terms)
        for monomial, coefficient in terms.items():
            total[monomial] = total.get(monomial, 0) + coefficient
        return _build(total)

    def __mul__(self, other: Any) -> Any:
        if type(other) is int:
            return self if other == 1 else _build({m: c * other for m, c in self.terms.items()})
        if (terms := _terms(other)) is None:
            return NotImplemented
        if len(self.terms) * len(terms) > 100_000:
            raise FlopwiseError("sizes multiply to a polynomial of more than 100,000 terms")
        total: dict[Monomial, int | Fraction] = {}
        for a, p in self.terms.items():
            for b, q in terms.items():
                monomial = _join(a, b)
                total[monomial] = total.get(monomial, 0) + p * q
        return _build(total)

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
    """A free size. Where an expression could not hold the name, it gets `_`."""
    text = "".join(c if f"a{c}".isidentifier() else "_" for c in normalize("NFKC", name))
    return _expr(text if text.isidentifier() and not iskeyword(text) else f"_{text}")


def symbols(dim: Dim) -> set[str]:
    """The names that a size depends on."""
    atoms = {a for m in dim.terms for a, _ in m} if isinstance(dim, Expr) else set()
    parts = [p for a in atoms if isinstance(a, Function) for p in a.parts[1:]]
    return {a for a in atoms if not isinstance(a, Function)}.union(*map(symbols, parts))


def floordiv(a: Dim, b: Dim) -> Dim:
    """The floor of a / b, exact wherever the division has no remainder."""
    if isinstance(b, Expr):
        exact = _exact(a, b)
        return _expr(Function("//", a, b)) if exact is None else exact
    return _floor(a, b) if isinstance(a, Expr) else int(a // b)


def ceildiv(a: Dim, b: Dim) -> Dim:
    """The ceiling of a / b."""
    return floordiv(a + b - 1, b)


def maximum(a: Dim, b: Dim) -> Dim:
    """The larger of two sizes, decided wherever positive symbols decide it."""
    if at_least(a, b):
        return a
    return b if at_least(b, a) else _expr(Function("max", *sorted((a, b), key=str)))


def minimum(a: Dim, b: Dim) -> Dim:
    """The smaller of two sizes, decided wherever positive symbols decide it."""
    if at_least(b, a):
        return a
    return b if at_least(a, b) else _expr(Function("min", *sorted((a, b), key=str)))


FUNCTIONS: dict[str, Callable[..., Dim]] = {"//": floordiv, "max": maximum, "min": minimum}


def at_least(a: Dim, b: Dim) -> bool:
    """Whether a >= b holds for all positive values of the symbols (False: not proven)."""
    gap: Any = a - b
    if not isinstance(gap, Expr):
        return bool(gap >= 0)
    bound = _bound(gap, low=True)
    shifted = _terms(at(bound, {name: _expr(name) + 1 for name in symbols(bound)})) or {}
    # Of symbols less 1, the lowest point is 0 where no coefficient is negative.
    if bound is None or any(m and c < 0 for m, c in shifted.items()):
        return False
    whole = all(c.denominator == 1 for c in gap.terms.values())
    return shifted.get((), 0) >= 0 or (whole and shifted[()] > -1)


def at(dim: Any, sizes: Mapping[str, Any]) -> Any:
    """The size with symbols replaced by ints, expressions, or numpy arrays (made exact ints)."""
    if not isinstance(dim, Expr):
        return dim
    sizes = {k: v.astype(object) if hasattr(v, "astype") else v for k, v in sizes.items()}
    terms = [prod([c, *(_atom_at(a, sizes) ** p for a, p in m)]) for m, c in dim.terms.items()]
    return _plain(sum(terms))


def render(dim: Dim, order: Sequence[str] = (), times: str = "*") -> str:
    """The size as text that Python can read; `order` puts some factors first."""
    if not isinstance(dim, Expr):
        return str(dim)
    terms = []
    for powers, coefficient in dim.terms.items():
        factors = sorted((order.index(a) if a in order else len(order), a, -p) for a, p in powers)
        texts = [a if p == -1 else f"{a}**{-p}" for _, a, p in factors]
        head = [str(abs(coefficient))] if abs(coefficient) != 1 or not texts else []
        sign = " - " if coefficient < 0 else " + "
        terms.append((sum(p for *_, p in factors), factors, sign + times.join(head + texts)))
    text = "".join(text for *_, text in sorted(terms))
    return text[3:] if text[1] == "+" else "-" + text[3:]


def _expr(atom: str) -> Expr:
    return Expr({((atom, 1),): 1})


def _terms(value: Any) -> Any:
    """The terms of an expression or a number (numpy's too); None for strangers."""
    return {(): value} if isinstance(value, (int, Rational)) else getattr(value, "terms", None)


def _build(terms: Mapping[Monomial, Any]) -> Any:
    kept = {m: c if type(c) is int else _plain(c) for m, c in terms.items() if c}
    return Expr(kept) if len(kept) > (() in kept) else kept.get((), 0)


def _plain(value: Any) -> Any:
    return int(value) if getattr(value, "denominator", 0) == 1 else value


def _join(a: Monomial, b: Monomial) -> Monomial:
    if not a or not b:
        return a or b
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items()))


def _floor(a: Any, b: Any) -> Dim:
    scale = math.lcm(*(c.denominator for c in a.terms.values())) * (1 if b > 0 else -1)
    a, b = a * (scale * b.denominator), scale * int(b.numerator)
    whole = _build({m: c // b for m, c in a.terms.items()})
    rest = {m: c % b for m, c in a.terms.items() if c % b}
    if not any(rest):
        for (x, times), (half, less) in permutations(_floors(whole).items(), 2):
            if times == -less and floordiv(_expr(x), 2) == _expr(half):  # x - x//2 is (x + 1)//2
                return whole + times * (ceildiv(_expr(x), 2) + _expr(half) - _expr(x))
        return whole
    common = math.gcd(b, *(c for m, c in rest.items() if m))
    a, b = _build({m: c // common for m, c in rest.items()}), b // common
    floors = _floors(a)
    if len(a.terms.keys() - {()}) == len(floors) == 1 and 2 * min(floors.values()) > b:
        return whole - _floor(b - 1 - a, b)  # 6*x//7 is x - (x + 6)//7, which nests
    nested = [f for f, c in floors.items() if c == 1]
    if len(nested) != 1:
        return whole + _expr(Function("//", a, b))
    (f,) = nested
    return whole + floordiv((a - _expr(f)) * f.divisor + f.parts[1], f.divisor * b)


def _floors(size: Dim) -> dict[Function, Any]:
    """The floors that stand alone in a sum, with their coefficients."""
    alone = [(m[0][0], c) for m, c in _terms(size).items() if len(m) == 1 == m[0][1]]
    return {f: c for f, c in alone if isinstance(f, Function) and f.divisor}


def _exact(a: Dim, b: Expr) -> Dim | None:
    """Long division of polynomials; None when a remainder is left."""

    def rank(monomial: Monomial) -> Any:  # an order that products keep, highest first
        return -sum(p for _, p in monomial), [a for a, p in monomial for _ in range(p)]

    quotient, lead = 0, min(b.terms, key=rank)
    while a != 0:
        top = min(terms := _terms(a), key=rank)
        powers = {atom: dict(top).get(atom, 0) - dict(lead).get(atom, 0) for atom, _ in top + lead}
        ratio = Fraction(terms[top]) / b.terms[lead]
        if any(p < 0 for p in powers.values()) or ratio.denominator != 1:
            return None
        step = _build({tuple(sorted((k, p) for k, p in powers.items() if p)): ratio})
        quotient, a = quotient + step, a - step * b
    return quotient


def _bound(dim: Dim, low: bool) -> Any:
    """A polynomial of symbols alone, never above (`low`) or below the size; None: not found."""
    total: Any = 0
    for monomial, coefficient in (_terms(dim) or {}).items():
        term, below = coefficient, low == (coefficient > 0)
        several = sum(p for a, p in monomial if isinstance(a, Function)) > 1
        for atom, power in monomial:
            side: Any = _expr(atom)
            if isinstance(atom, Function):
                left = _bound(atom.parts[1], below) if atom.divisor else None
                if left is None or (several and not at_least(side, 0)):
                    return None  # bounds multiply only where no factor is negative
                side = (left - (atom.divisor - 1) * below) * Fraction(1, atom.divisor)
                side = 0 if several and below and not at_least(side, 0) else side
            term = term * side**power
        total = total + term
    return total


def _atom_at(atom: str, sizes: Mapping[str, Any]) -> Any:
    if not isinstance(atom, Function):
        return sizes.get(atom, _expr(atom))
    function, parts = FUNCTIONS[atom.parts[0]], [at(part, sizes) for part in atom.parts[1:]]
    if not any(hasattr(part, "dtype") for part in parts):
        return function(*parts)
    import numpy

    return numpy.frompyfunc(function, 2, 1)(*parts)
