"""The number that keeps a tally: run an expression on it and read off what was done.

A pointwise operator is written as its textbook expression and counted by evaluating it
once. Numbers carry their value too, so that naive loops can run on them as an oracle.
"""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from flopwise.counts import Counts

Value = Any


class Number:
    """A float that writes each operation on it into a shared ledger."""

    __slots__ = ("ledger", "value")

    def __init__(self, value: float, ledger: Counter[str]) -> None:
        self.value = value
        self.ledger = ledger

    def _note(self, kind: str, value: float) -> Number:
        self.ledger[kind] += 1
        return Number(value, self.ledger)

    def __add__(self, other: Value) -> Number:
        return self._note("add", self.value + _value(other))

    def __sub__(self, other: Value) -> Number:
        return self._note("add", self.value - _value(other))

    def __rsub__(self, other: Value) -> Number:
        return self._note("add", _value(other) - self.value)

    def __neg__(self) -> Number:
        return self._note("add", -self.value)

    def __mul__(self, other: Value) -> Number:
        return self._note("mul", self.value * _value(other))

    def __truediv__(self, other: Value) -> Number:
        return self._note("div", self.value / (_value(other) or 1.0))

    def __rtruediv__(self, other: Value) -> Number:
        return self._note("div", _value(other) / (self.value or 1.0))

    __radd__ = __add__
    __rmul__ = __mul__


def _value(x: Value) -> float:
    return x.value if isinstance(x, Number) else x


def _function(kind: str, f: Callable[..., float]) -> Callable[..., Any]:
    def apply(*args: Value) -> Value:
        numbers = [a for a in args if isinstance(a, Number)]
        return numbers[0]._note(kind, f(*map(_value, args))) if numbers else f(*args)

    return apply


maximum = _function("cmp", max)
minimum = _function("cmp", min)
absolute = _function("cmp", abs)
less = _function("cmp", lambda a, b: float(a < b))
where = _function("cmp", lambda c, a, b: a if c else b)
exp = _function("exp", lambda x: math.exp(min(x, 700.0)))
log = _function("log", lambda x: math.log(abs(x) or 1.0))
sqrt = _function("sqrt", lambda x: math.sqrt(abs(x)))
trig = _function("trig", math.sin)
erf = _function("erf", math.erf)
bit = _function("bit", lambda *x: float(round(x[0])))


def tally(expression: Callable[..., Any]) -> Counts:
    """The counts of one evaluation of `expression`, whose parameters are the operands.

    >>> tally(lambda x: 1 / (1 + exp(-x))).ops
    4
    """
    ledger: Counter[str] = Counter()
    parameters = inspect.signature(expression).parameters.values()
    operands = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    expression(*(Number(0.5, ledger) for _ in operands))
    return Counts(**ledger)
