"""The number that keeps a tally, and pointwise operators read off it."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from typing import Any

import pytest

from flopwise import ops, tally
from flopwise.counts import Counts
from flopwise.dims import symbol
from flopwise.ops.pointwise import POINTWISE, per_element
from flopwise.tally import Number
from support.single import single


@pytest.mark.parametrize(
    ("expression", "value", "kinds"),
    [
        (lambda x, y: x + y, 10.0, {"add": 1}),
        (lambda x, y: 1 + x, 9.0, {"add": 1}),
        (lambda x, y: x - y, 6.0, {"add": 1}),
        (lambda x, y: 1 - x, -7.0, {"add": 1}),
        (lambda x, y: -x, -8.0, {"add": 1}),
        (lambda x, y: x * y, 16.0, {"mul": 1}),
        (lambda x, y: 3 * x, 24.0, {"mul": 1}),
        (lambda x, y: x / y, 4.0, {"div": 1}),
        (lambda x, y: 4 / x, 0.5, {"div": 1}),
        (lambda x, y: tally.maximum(x, y), 8.0, {"cmp": 1}),
        (lambda x, y: tally.minimum(x, 5), 5.0, {"cmp": 1}),
        (lambda x, y: tally.absolute(x), 8.0, {"cmp": 1}),
        (lambda x, y: tally.less(x, y), 0.0, {"cmp": 1}),
        (lambda x, y: tally.where(1, x, y), 8.0, {"cmp": 1}),
        (lambda x, y: tally.exp(y), math.exp(2.0), {"exp": 1}),
        (lambda x, y: tally.log(y), math.log(2.0), {"log": 1}),
        (lambda x, y: tally.sqrt(x * y), 4.0, {"mul": 1, "sqrt": 1}),
        (lambda x, y: tally.trig(y), math.sin(2.0), {"trig": 1}),
        (lambda x, y: tally.erf(y), math.erf(2.0), {"erf": 1}),
        (lambda x, y: tally.bit(x / 3), 3.0, {"div": 1, "bit": 1}),
        (lambda x, y: x * x + y * y - 1, 67.0, {"mul": 2, "add": 2}),
    ],
)
def test_a_number_writes_down_what_is_done_to_it(expression: Any, value: float, kinds: Any) -> None:
    ledger: Counter[str] = Counter()
    result = expression(Number(8.0, ledger), Number(2.0, ledger))
    assert result.value == pytest.approx(value)
    assert ledger == kinds
    assert tally.tally(expression) == Counts(**kinds)


def test_plain_numbers_pass_through_and_cost_nothing() -> None:
    assert tally.exp(0.0) == 1.0
    assert tally.maximum(2, 3) == 3
    assert tally.tally(lambda: tally.sqrt(4.0)) == Counts()


@pytest.mark.parametrize("bad", [0.0, -1.0, 1e300])
def test_any_number_can_be_counted_on(bad: float) -> None:
    """A tally must not stop at a pole of the function that it counts."""
    x = Number(bad, Counter())
    for result in (1 / x, x / 0, tally.log(x), tally.sqrt(x), tally.exp(x)):
        assert math.isfinite(result.value)


def test_operands_are_counted_only_where_they_are_operands() -> None:
    def scaled(x: Any, *, factor: float = 2.0) -> Any:
        return x * factor

    assert tally.tally(scaled) == Counts(mul=1)


# The operations of one element, counted by hand from the definition in the right column.
BY_HAND = {
    "relu": ({"cmp": 1}, "max(x, 0)"),
    "relu6": ({"cmp": 2}, "min(max(x, 0), 6)"),
    "leaky_relu": ({"cmp": 1, "mul": 1}, "max(x, a x)"),
    "sigmoid": ({"add": 2, "exp": 1, "div": 1}, "1 / (1 + exp(-x))"),
    "tanh": ({"mul": 1, "exp": 1, "add": 2, "div": 1}, "2 / (1 + exp(-2x)) - 1"),
    "silu": ({"add": 2, "exp": 1, "div": 1, "mul": 1}, "x sigmoid(x)"),
    "gelu": ({"div": 1, "erf": 1, "add": 1, "mul": 2}, "x/2 (1 + erf(x / sqrt 2))"),
    "softplus": ({"exp": 1, "add": 1, "log": 1}, "log(1 + exp(x))"),
    "elu": ({"cmp": 2, "exp": 1, "add": 1, "mul": 1}, "x < 0 ? a (exp(x) - 1) : x"),
    "hard_swish": ({"add": 1, "cmp": 2, "div": 1, "mul": 1}, "x min(max(x + 3, 0), 6) / 6"),
    "pow": ({"log": 1, "mul": 1, "exp": 1}, "exp(y log x)"),
    "fma": ({"mul": 1, "add": 1}, "x y + z"),
    "atanh": ({"add": 2, "div": 2, "log": 1}, "log((1 + x) / (1 - x)) / 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_pointwise_operators_by_hand(name: str) -> None:
    assert per_element(name) == Counts(**BY_HAND[name][0])


@pytest.mark.parametrize("name", POINTWISE)
def test_a_pointwise_operator_is_its_expression_once_per_element(name: str) -> None:
    arity = len(inspect.signature(POINTWISE[name]).parameters)
    counts = ops.count(single(name, *[(symbol("N"), 3)] * arity))
    assert counts is not None
    assert counts.mac == counts.dot == 0
    assert counts.ops == 3 * symbol("N") * per_element(name).ops
    assert per_element(name).ops > 0


def test_operands_broadcast_and_sums_of_several_are_one_less_than_they() -> None:
    counts = ops.count(single("add", (2, 1, 4), (3, 1)))
    assert counts is not None
    assert (counts.add, counts.read, counts.write) == (24, 4 * 11, 4 * 24)
    several = ops.count(single("add", (2, 4), (2, 4), (2, 4)))
    assert several is not None
    assert several.add == 16
