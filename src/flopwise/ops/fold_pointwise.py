"""Fold rules of arithmetic: pointwise operators and casts of constants."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from typing import Any

from flopwise import arrays as numpy
from flopwise import dims
from flopwise.dims import Expr, at_least
from flopwise.graph import Node
from flopwise.ops import pointwise  # noqa: F401 - the operators must be entered
from flopwise.ops.folding import (
    Array,
    Tensors,
    Undecided,
    folds,
    is_integer,
    number_type,
    symbolic,
)


def exact(value: Any) -> Any:
    """A number that a polynomial can take: floats as the fractions they stand for."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Undecided
        return int(value) if value.is_integer() else Fraction(value).limit_denominator(4096)
    return value


def floor(value: Any) -> Any:
    """The floor of a polynomial with fractions for coefficients."""
    if not isinstance(value, Expr):
        return math.floor(value)
    shared = reduce(math.lcm, (Fraction(c).denominator for c in value.terms.values()), 1)
    whole = Expr({m: int(c * shared) for m, c in value.terms.items()})
    return dims.floordiv(whole, shared)


def whole(value: Any) -> bool:
    """Whether a value is integral whatever its symbols are."""
    terms = value.terms.values() if isinstance(value, Expr) else [value]
    return all(Fraction(c).denominator == 1 for c in terms)


def ceil(value: Any) -> Any:
    return -floor(-value)


def round_(value: Any) -> Any:
    if not whole(value):
        raise Undecided
    return value


def truncated(value: Any) -> Any:
    """Towards zero; sizes are not negative."""
    if not isinstance(value, Expr):
        return math.trunc(value)
    if whole(value):
        return value
    if not at_least(value, 0):
        raise Undecided
    return floor(value)


def quotient(a: Any, b: Any) -> Any:
    """The integer quotient, towards zero."""
    if isinstance(a, int) and isinstance(b, int):
        return math.trunc(Fraction(a, b))
    if not (at_least(a, 0) and at_least(b, 1)):
        raise Undecided
    return dims.floordiv(a, b)


def ratio(a: Any, b: Any) -> Any:
    """The true quotient, of sizes where it is a polynomial."""
    if not isinstance(b, Expr):
        return a * Fraction(1) / b
    if not whole(a) or (found := dims.floordiv(a, b)) * b != a:
        raise Undecided
    return found


def remainder(a: Any, b: Any) -> Any:
    return a - b * dims.floordiv(a, b)


def power(a: Any, b: Any) -> Any:
    if not isinstance(b, int) or b < 0:
        raise Undecided
    return a**b


def plain_power(a: Array, b: Array) -> Array:
    if b.dtype.kind == "i" and (b < 0).any():
        raise Undecided
    return numpy.power(a, b)


def absolute(a: Any) -> Any:
    if at_least(a, 0):
        return a
    if at_least(-a, 0):
        return -a
    raise Undecided


def equal(a: Any, b: Any) -> bool:
    """Whether two sizes are the same, where that holds for all values of the symbols."""
    if a == b:
        return True
    if at_least(a - b, 1) or at_least(b - a, 1) or not isinstance(a - b, Expr):
        return False
    raise Undecided


def less(a: Any, b: Any) -> bool:
    if at_least(b - a, 1):
        return True
    if at_least(a - b, 0):
        return False
    raise Undecided


def undecided(*_: Any) -> Any:
    raise Undecided


Function = Callable[..., Any]
Plain = str | Function

# Per operator: what numpy makes of plain numbers (a function of it, by name), and what
# becomes of symbols.
BINARY: dict[str, tuple[Plain, Function]] = {
    "add": ("add", operator.add),
    "sub": ("subtract", operator.sub),
    "mul": ("multiply", operator.mul),
    "pow": (plain_power, power),
    "max": ("maximum", dims.maximum),
    "min": ("minimum", dims.minimum),
    "equal": ("equal", equal),
    "not_equal": ("not_equal", lambda a, b: not equal(a, b)),
    "less": ("less", less),
    "less_equal": ("less_equal", lambda a, b: not less(b, a)),
    "greater": ("greater", lambda a, b: less(b, a)),
    "greater_equal": ("greater_equal", lambda a, b: not less(a, b)),
    "and": ("logical_and", undecided),
    "or": ("logical_or", undecided),
    "xor": ("logical_xor", undecided),
}
UNARY: dict[str, tuple[Plain, Function]] = {
    "neg": ("negative", operator.neg),
    "abs": ("abs", absolute),
    "square": ("square", lambda a: a * a),
    "sign": ("sign", lambda a: 1 if at_least(a, 1) else undecided()),
    "floor": ("floor", floor),
    "ceil": ("ceil", ceil),
    "round": ("round", round_),
    "trunc": ("trunc", truncated),
    "relu": (lambda a: numpy.maximum(a, 0), lambda a: dims.maximum(a, 0)),
    "not": ("logical_not", undecided),
    "sqrt": ("sqrt", undecided),
    "rsqrt": (lambda a: 1 / numpy.sqrt(a), undecided),
    "reciprocal": (lambda a: 1 / a, undecided),
    "exp": ("exp", undecided),
    "log": ("log", undecided),
    "sin": ("sin", undecided),
    "cos": ("cos", undecided),
}


def elementwise(plain: Plain, symbols: Function, arrays: list[Array]) -> Array:
    """One function over broadcast arrays; the exact one where symbols are among them."""
    with numpy.errstate(all="ignore"):
        if not symbolic(*arrays):
            function = getattr(numpy, plain) if isinstance(plain, str) else plain
            return numpy.asarray(function(*arrays))
    exactly = [numpy.frompyfunc(exact, 1, 1)(a.astype(object)) for a in arrays]
    return numpy.asarray(numpy.frompyfunc(symbols, len(arrays), 1)(*exactly), dtype=object)


def _enter(name: str, plain: Plain, symbols: Function, folded: bool) -> None:
    @folds(name)
    def fold(arrays: list[Array]) -> Array:
        operands = arrays if folded else arrays[:1]
        if not folded:
            return elementwise(plain, symbols, operands)
        return reduce(lambda a, b: elementwise(plain, symbols, [a, b]), operands)


for _name, (_plain, _symbols) in BINARY.items():
    _enter(_name, _plain, _symbols, folded=True)
for _name, (_plain, _symbols) in UNARY.items():
    _enter(_name, _plain, _symbols, folded=False)


@folds("div")
def divide(arrays: list[Array], inputs: Tensors, truediv: bool = False) -> Array:
    """Of integers the part before the point; `truediv`: a fraction all the same."""
    a, b = arrays
    if all(map(is_integer, inputs)) and not truediv:
        if symbolic(a, b):
            return elementwise(numpy.divide, quotient, [a, b])
        if not b.all():
            raise Undecided
        whole_part = numpy.abs(a) // numpy.abs(b)
        return numpy.where((a < 0) != (b < 0), -whole_part, whole_part)
    return elementwise(numpy.true_divide, ratio, [a, b])


@folds("mod")
def mod(arrays: list[Array], fmod: Any = None) -> Array:
    """`fmod` gives the rest the sign of the dividend instead of the divisor; where a format
    leaves that open, only numbers that are not negative are followed."""
    a, b = arrays
    if fmod is None and not symbolic(a, b) and ((a < 0).any() or (b < 0).any()):
        raise Undecided
    return elementwise(numpy.fmod if fmod else numpy.mod, remainder, arrays)


@folds("where")
def where(arrays: list[Array]) -> Array:
    condition, a, b = arrays
    if symbolic(condition):
        raise Undecided
    if symbolic(a, b):
        a, b = a.astype(object), b.astype(object)
    return numpy.where(condition, a, b)


@folds("clip")
def clip(arrays: list[Array]) -> Array:
    """Bounds as second and third operand; as attributes they concern floats, not sizes."""
    if len(arrays) == 1:
        raise Undecided
    low, high = (*arrays[1:], None)[:2]
    value = arrays[0]
    value = value if low is None else elementwise(numpy.maximum, dims.maximum, [value, low])
    return value if high is None else elementwise(numpy.minimum, dims.minimum, [value, high])


@folds("cast")
def cast(arrays: list[Array], node: Node, dtype: str = "") -> Array:
    value, dtype = arrays[0], dtype or node.outputs[0].dtype
    if not symbolic(value):
        return value.astype(number_type(dtype))
    if dtype == "bool":
        return numpy.frompyfunc(lambda v: not equal(v, 0), 1, 1)(value)
    if dtype.startswith(("int", "uint")):
        return numpy.frompyfunc(truncated, 1, 1)(value)
    return value
