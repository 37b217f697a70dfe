"""Whatever a broken file says of an operator, the answer is a size, an open size or one line."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest

from flopwise import ops
from flopwise.dims import Expr, symbol
from flopwise.errors import FlopwiseError, ShapeMismatch
from support.single import OPEN, constant, single

SIZES = [1, 2, 3, 4, 8, 0, symbol("N"), symbol("H")]
ATTRIBUTES = [
    0, 1, -1, 2, 9, (1, 2), (0,), (-1,), (2, 3, 4), True, 0.5, symbol("N"), "same", "max", "linear",
]  # fmt: skip


def operand(chance: random.Random) -> Any:
    shape = tuple(chance.choices(SIZES, k=chance.randint(0, 5)))
    values = [chance.choice([-1, 0, 1, 2, 3, symbol("N")]) for _ in range(chance.randint(0, 4))]
    kinds = [shape] * 6 + [None, constant(values), constant(chance.choice([-1, 0, 1, 2])), OPEN]
    return chance.choice(kinds)


def is_amount(value: Any) -> bool:
    return isinstance(value, (int, Fraction, float, Expr))


@pytest.mark.parametrize("entry", [*ops.known()], ids=lambda entry: entry.name)
def test_nothing_but_our_own_errors(entry: ops.Op) -> None:
    chance = random.Random(entry.name)
    rules = [r for r in (entry.count, entry.axes, entry.shape, entry.fold) if r is not None]
    names = {name for r in rules for name, _ in ops.parameters(r)} - {"inputs", "outputs", "node"}
    for _ in range(40):
        attrs = {n: chance.choice(ATTRIBUTES) for n in sorted(names) if chance.random() < 0.5}
        operands = [operand(chance) for _ in range(chance.randint(1, 4))]
        try:
            node = single(entry.name, *operands, outputs=chance.randint(1, 3), **attrs)
            counts = ops.count(node)
        except FlopwiseError as error:
            assert "\n" not in str(error)
            continue
        for tensor in node.outputs:
            assert all(s is None or isinstance(s, (int, Expr)) for s in tensor.shape or ())
        words = any(isinstance(v, str) for v in attrs.values())  # which Python multiplies
        assert counts is None or words or all(map(is_amount, dict(counts.items()).values()))


def test_an_absent_operand_is_told() -> None:
    with pytest.raises(ShapeMismatch, match="a needed one is absent"):
        single("gather", (2, 3), None)


def test_an_axis_that_is_not_there_is_told() -> None:
    node = single("softmax", (2, 3), axis=7)
    with pytest.raises(ShapeMismatch, match="out of range"):
        ops.count(node)


@pytest.mark.parametrize(
    ("attrs", "words"),
    [
        ({"outputs": 5}, "axis 1 of size 3 does not split into 5 parts"),
        ({"outputs": 2, "even": True}, "axis 1 of size 3 does not split into 2 parts"),
        ({"outputs": 2, "squeeze": True}, "axis 1 of size 3 does not split into 2 parts"),
        ({"outputs": 2, "points": (4,)}, r"axis 1 of size 3 does not split into \[4, -1\]"),
    ],
)
def test_parts_that_cannot_be_are_told(attrs: dict[str, Any], words: str) -> None:
    with pytest.raises(ShapeMismatch, match=words):
        single("split", (2, 3), axis=1, **attrs)


@pytest.mark.parametrize(
    ("op", "attrs", "words"),
    [
        ("depth_to_space", {"block": 2}, "6 channels do not divide into blocks of 4"),
        ("space_to_depth", {"block": 2}, "5 positions of an axis do not divide into blocks of 2"),
        ("resize", {"scale": 0.1}, "axis 2 of size 4 is resized to 0"),
    ],
)
def test_what_would_be_lost_is_told(op: str, attrs: dict[str, Any], words: str) -> None:
    with pytest.raises(ShapeMismatch, match=words):
        single(op, (1, 6, 4, 5), **attrs)
