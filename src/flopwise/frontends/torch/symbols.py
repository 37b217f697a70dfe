"""Free sizes in torch: our own polynomials inside torch.SymInt.

Each symbol has an example, a number by which conditions are decided; a condition that the
polynomials do not decide by themselves is noted, since the counts hold where it does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache, reduce
from math import ceil, floor, isfinite, lcm
from typing import Any

import torch

from flopwise import dims
from flopwise.dims import Dim, Expr
from flopwise.errors import UnknownSize
from flopwise.frontends.torch.conditions import COMPARE, Conditions, asked_by_index

_LARGEST = 2**62
_PLAIN = torch.__version__ >= "2.5"  # asked of every comparison, and slow to tell
MOST_TERMS, LONGEST = 500, 10_000  # of a size; no network of ours has half of either
FINEST = 4096  # the greatest denominator of a factor such as 1.5 or 0.125


class Node:
    """The number inside a torch.SymInt, SymFloat or SymBool: what torch asks of one.

    The value of a float is a polynomial too, or None where only the example is known.
    """

    def __init__(
        self, value: Any, example: Any, conditions: Conditions, kind: type = int, test: Any = None
    ) -> None:
        self.value, self.example, self.conditions, self.kind = value, example, conditions, kind
        self.test: Any = test  # of a truth value: (left, sign, right)

    def _made(self, value: Any, example: Any, kind: type = int) -> Node:
        return Node(value, kind(example), self.conditions, kind)

    # what it is
    def is_int(self) -> bool:
        return self.kind is int

    def is_float(self) -> bool:
        return self.kind is float

    def is_bool(self) -> bool:
        return self.kind is bool

    def is_nested_int(self) -> bool:
        return False

    def is_symbolic(self) -> bool:
        return True

    def is_constant(self) -> bool:
        """Whether torch may ask for the plain int (which 2.4 does not) or bool."""
        whole = _PLAIN and isinstance(self.value, int)
        return self.test is None and (self.kind is bool or whole)

    def has_hint(self) -> bool:
        return True

    def maybe_as_int(self) -> int | None:
        return self.value if isinstance(self.value, int) else None

    def str(self) -> str:
        return str(self.example if self.value is None else self.value)

    _graph_repr = __repr__ = str

    @property
    def expr(self) -> Any:
        """What torch takes the free symbols of."""
        import sympy  # type: ignore[import-untyped]

        free = isinstance(self.value, Expr)
        return sympy.Symbol(self.str()) if free else sympy.sympify(self.example)

    # constants
    def wrap_int(self, number: int) -> Node:
        return self._made(number, number)

    def wrap_float(self, number: float) -> Node:
        exact = Fraction(number) if isfinite(number) else None
        return self._made(exact if exact and exact.denominator <= FINEST else None, number, float)

    def wrap_bool(self, truth: bool) -> Node:
        return self._made(truth, truth, bool)

    def clone(self) -> Node:
        return self

    # a plain number or truth value, decided by the example
    def guard_bool(self, file: Any, line: Any) -> bool:
        if self.test is not None:
            left, sign, right = self.test
            if sign == "<=" and decided(left, "<", right) is False and asked_by_index():
                return False  # whether h rows of an axis are all: they are h either way
            self.conditions.note(left, sign, right, bool(self.example))
        return bool(self.example)

    expect_true = guard_size_oblivious = statically_known_true = guard_bool
    guard_or_false = guard_or_true = guard_bool

    def bool_(self) -> bool:
        return self.guard_bool("", 0)

    def expect_size(self, file: Any, line: Any) -> bool:
        """Whether this may be a size, which older releases ask."""
        return True

    def guard_int(self, file: Any, line: Any) -> int:
        if not isinstance(self.value, int):
            raise UnknownSize(f"the model needs a number for {self.value}: give one in its place")
        return self.value

    def int_(self) -> int:
        return self.guard_int("", 0)

    def guard_float(self, file: Any, line: Any) -> float:
        return float(self.example)

    # arithmetic that is no plain operator
    def sym_float(self) -> Node:
        return self._made(self.value, self.example, float)

    def sym_int(self) -> Node:
        return self.floor() if self.kind is float else self

    def floor(self) -> Node:
        return self._rounded(0)

    trunc = floor  # sizes are positive

    def ceil(self) -> Node:
        return self._rounded(1)

    def _rounded(self, up: int) -> Node:
        if self.kind is int:
            return self
        if self.value is None:
            raise UnknownSize("a size that hangs on a number with many digits: give numbers")
        value: Any = self.value if isinstance(self.value, Expr) else Fraction(self.value)
        parts = value.terms.values() if isinstance(value, Expr) else (value,)
        whole = lcm(*(Fraction(p).denominator for p in parts))
        example = ceil(self.example) if up else floor(self.example)
        return self._made(dims.floordiv(value * whole + up * (whole - 1), whole), example)

    def sym_sum(self, nodes: Any) -> Node:
        return reduce(lambda a, b: a.add(b), nodes)

    def sym_not(self) -> Node:
        return self.wrap_bool(not self.bool_())

    def neg(self) -> Node:
        return self._made(None if self.value is None else -self.value, -self.example, self.kind)

    def pos(self) -> Node:
        return self


def _binary(symbolic: Callable[[Any, Any], Any], plain: Callable[[Any, Any], Any]) -> Any:
    def method(self: Node, other: Node) -> Node:
        kind = float if float in (self.kind, other.kind) else int
        known = self.value is not None and other.value is not None
        value = _readable(symbolic(self.value, other.value)) if known else None
        return self._made(value, plain(self.example, other.example), kind)

    return method


def _readable(value: Any) -> Any:
    """The size, unless nobody would read it: such a size grows with every layer, and its time."""
    for monomial in value.terms if isinstance(value, Expr) else ():
        if len(value.terms) > MOST_TERMS or any(len(atom) > LONGEST for atom, _ in monomial):
            raise UnknownSize("sizes in letters grow without end in this model: give numbers")
    return value


def _comparison(sign: str) -> Any:
    compare = COMPARE[sign]

    def method(self: Node, other: Node) -> Node:
        example = bool(compare(self.example, other.example))
        if self.kind is not int or other.kind is not int:
            return self.wrap_bool(example)
        known = decided(self.value, sign, other.value)
        if known is not None:
            return self.wrap_bool(known)
        return Node(example, example, self.conditions, bool, (self.value, sign, other.value))

    return method


@lru_cache(4096)  # torch asks of every layer what it asked of the one before
def decided(left: Dim, sign: str, right: Dim) -> bool | None:
    """Whether a comparison holds for all positive sizes; None when that is open."""
    if not isinstance(left, Expr) and not isinstance(right, Expr):
        return bool(COMPARE[sign](left, right))
    if isinstance(right, int) and right > _LARGEST:
        return sign in ("<", "<=", "!=")
    if sign in ("==", "!="):
        apart = dims.at_least(left, right + 1) or dims.at_least(right, left + 1)
        same = left == right
        return (sign == "==") == same if same or apart else None
    if sign in ("<", "<="):
        left, right, sign = right, left, {"<": ">", "<=": ">="}[sign]
    if dims.at_least(left, right + (sign == ">")):
        return True
    return False if dims.at_least(right, left + (sign == ">=")) else None


def _float_division(self: Node, other: Node) -> Node:
    """Exact where the divisor is a number."""
    exact = isinstance(other.value, (int, Fraction)) and self.value is not None
    value = self.value * Fraction(1, other.value) if exact and other.value else None
    return self._made(value, self.example / other.example, float)


def _remainder(a: Any, b: Any) -> Any:
    return a - b * dims.floordiv(a, b)


def _greater(a: Any, b: Any) -> Any:
    """Sizes are positive: the greater of one and 1 is itself."""
    return a if b == 1 else b if a == 1 else dims.maximum(a, b)


for _name, _symbolic, _plain in (
    ("add", operator.add, operator.add),
    ("sub", operator.sub, operator.sub),
    ("mul", operator.mul, operator.mul),
    ("mod", _remainder, operator.mod),
    ("int_floordiv", dims.floordiv, operator.floordiv),
    ("floordiv", dims.floordiv, operator.floordiv),
    ("pow_by_natural", operator.pow, operator.pow),
    ("pow", operator.pow, operator.pow),
    ("sym_min", dims.minimum, min),
    ("sym_max", _greater, max),
):
    setattr(Node, _name, _binary(_symbolic, _plain))
for _name, _sign in zip(("eq", "ne", "lt", "le", "gt", "ge"), ("==", "!=", "<", "<=", ">", ">=")):
    setattr(Node, _name, _comparison(_sign))
for _name in ("truediv", "float_truediv", "int_truediv"):
    setattr(Node, _name, _float_division)


def _logic(plain: Callable[[bool, bool], bool]) -> Any:
    def method(self: Node, other: Node) -> Node:
        return self.wrap_bool(plain(self.bool_(), other.bool_()))

    return method


for _name in ("sym_and", "and_"):
    setattr(Node, _name, _logic(lambda a, b: a and b))
for _name in ("sym_or", "or_"):
    setattr(Node, _name, _logic(lambda a, b: a or b))


def symint(size: Dim, examples: Mapping[str, int], conditions: Conditions) -> Any:
    """The size as torch takes it: an int, or a SymInt around the expression."""
    if isinstance(size, int):
        return size
    import torch.fx.experimental.sym_node

    return torch.SymInt(Node(size, int(dims.at(size, examples)), conditions))


def dim(size: Any) -> Dim:
    """Our size of torch's."""
    return size.node.value if isinstance(size, torch.SymInt) else size
