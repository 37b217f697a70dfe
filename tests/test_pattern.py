"""Axis names for shapes, read in both directions, and the words for what does not fit."""

from __future__ import annotations

from inspect import Parameter
from typing import Any

import pytest

from flopwise import ops
from flopwise.dims import symbol
from flopwise.errors import ShapeMismatch
from flopwise.graph import Node, Tensor
from flopwise.pattern import Operand, patterns, show
from support.single import OPEN, single

CONV = "n c *x, weight: f g *k, bias?: f -> n f *y"
N, H = symbol("N"), symbol("H")


@pytest.mark.parametrize(
    ("text", "inputs", "outputs", "bound"),
    [
        ("n c *x -> n c *y", [(2, 3, 8, 9)], [None], {"n": 2, "c": 3, "x": (8, 9)}),
        ("n c *x -> n c *y", [(2, 3)], [(2, 3)], {"n": 2, "c": 3, "x": (), "y": ()}),
        ("*n i, weight: o i -> *n o", [(5, 6, 4), (7, 4)], [(5, 6, 7)],
         {"n": (5, 6), "i": 4, "o": 7, "weight": 1}),
        ("*_ k -> _ k", [(2, 3, 4)], [(9, 4)], {"k": 4}),
        ("3 n -> n", [(3, 5)], [], {"n": 5}),
        ("n *x c -> n c", [(2, 8, 9, 3)], [], {"n": 2, "x": (8, 9), "c": 3}),
        (CONV, [(1, 2, 5), (4, 2, 3), None], [(1, 4, 3)],
         {"n": 1, "c": 2, "x": (5,), "f": 4, "g": 2, "k": (3,), "y": (3,), "weight": 1, "bias": 0}),
        (CONV, [(1, 2, 5), None, (4,)], [None],
         {"n": 1, "c": 2, "x": (5,), "f": 4, "weight": 0, "bias": 1}),
        (CONV, [(1, 2, 5)], [], {"n": 1, "c": 2, "x": (5,), "weight": 0, "bias": 0}),
        ("n, w: *y f *k -> n", [(1,), (4, 5, 7, 2, 3)], [],
         {"n": 1, "w": 1, "y": (4, 5), "f": 7, "k": (2, 3)}),
    ],
)  # fmt: skip
def test_shapes_are_unpacked(text: str, inputs: Any, outputs: Any, bound: dict[str, Any]) -> None:
    assert patterns(text)[0].bind(inputs, outputs) == bound


@pytest.mark.parametrize(
    ("text", "inputs", "words"),
    [
        ("m k, k n -> m n", [(2, 3), (4, 5)], "axis k is both 3 and 4 ('m k, k n -> m n')"),
        ("n c *x, n c *x -> n c *x", [(2, 3, 8, 8), (2, 3, 8, 7)], "axis x is both 8x8 and 8x7"),
        ("*x, *x -> *x", [(2, 3), (2, 3, 1)], "axis x is both 2x3 and 2x3x1"),
        ("*x, *x -> *x", [(N, 3), (N, 4)], "axis x is both Nx3 and Nx4"),
        ("3 n -> n", [(4, 5)], "axis 3 is both 3 and 4"),
        ("n c -> n", [(2, 3, 4)], "operand 'n c' of shape 2x3x4 does not fit 'n c -> n'"),
        ("n c *x -> n", [(2,)], "operand 'n c *x' of shape 2 does not fit"),
        ("n, weight: o i -> n", [(1,), ()], "weight of shape () does not fit"),
        ("n, w: *y f *k -> n", [(1,), (4, 5)], "w of shape 4x5 does not fit"),
    ],
)
def test_what_does_not_fit_is_told_in_the_words_of_the_pattern(
    text: str, inputs: Any, words: str
) -> None:
    with pytest.raises(ShapeMismatch) as caught:
        patterns(text)[0].bind(inputs, [])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("first", "second", "bound"),
    [
        ((N, 3), (N, 3), {"n": N, "c": 3}),
        ((N, 3), (2, 3), {"n": 2, "c": 3}),
        ((2, 3), (N, 3), {"n": 2, "c": 3}),
        ((N, 3), (H, 3), {"n": N, "c": 3}),
    ],
)
def test_a_number_says_more_than_a_free_size(first: Any, second: Any, bound: Any) -> None:
    assert patterns("n c, n c -> n c")[0].bind([first, second], []) == bound
    spans = patterns("*x, *x -> *x")[0].bind([first, second], [])
    assert spans == {"x": tuple(bound.values())}


def test_weights_of_known_size_settle_a_free_size() -> None:
    """A dense layer of 512 inputs on C features counts 512 of them, whatever C is called."""
    counts = ops.count(single("linear", (N, symbol("C")), Tensor("w", (10, 512), role="weight")))
    assert counts is not None
    assert counts.mac == N * 5120


@pytest.mark.parametrize(
    ("operand", "axes", "shape"),
    [
        ("f g *k", {"f": 4, "g": 2, "k": (3, 3)}, (4, 2, 3, 3)),
        ("*x c", {"x": (), "c": 5}, (5,)),
        ("1 n", {"n": H}, (1, H)),
    ],
)
def test_read_backwards_axes_give_shapes(operand: str, axes: Any, shape: Any) -> None:
    spelled = patterns(f"{operand} -> n")[0]
    assert spelled.fill(spelled.inputs[0], axes) == shape
    with pytest.raises(KeyError):
        spelled.fill(spelled.inputs[0], {})


@pytest.mark.parametrize(
    ("axes", "ranks"),
    [("n c", {2}), ("n c *x", {2, 3, 4, 5}), ("*x", {0, 1, 2, 3, 4, 5}), ("n *x f *y", {2, 4})],
)
def test_ranks_that_an_operand_takes(axes: str, ranks: set[int]) -> None:
    operand = Operand("", False, tuple(axes.split()))
    assert {rank for rank in range(6) if operand.takes(rank)} == ranks


@pytest.mark.parametrize(
    ("a", "b", "y", "macs"),
    [
        ((2, 3), (3, 4), (2, 4), 24),
        ((3,), (3, 4), (4,), 12),
        ((2, 3), (3,), (2,), 6),
        ((3,), (3,), (), 3),
        ((5, 2, 3), (3,), (5, 2), 30),
        ((3,), (5, 3, 4), (5, 4), 60),
        ((5, 1, 2, 3), (6, 3, 4), (5, 6, 2, 4), 720),
    ],
)
def test_the_spelling_that_fits_the_ranks_is_taken(a: Any, b: Any, y: Any, macs: int) -> None:
    node = single("matmul", a, b)
    assert node.outputs[0].shape == y
    counts = ops.count(node)
    assert counts is not None
    assert counts.mac == macs


def test_a_node_may_lay_out_its_operands_otherwise() -> None:
    """Channels last: the same network, so the same counts and the same sizes, elsewhere."""
    attrs = {"f": 8, "k": (3, 3), "stride": 2, "pad": 1, "groups": 2}
    first = single("conv", (1, 6, 9, 7), OPEN, OPEN, **attrs)
    layout = "n *x c, weight: f *k g, bias?: f -> n *y f"
    last = single("conv", (1, 9, 7, 6), OPEN, OPEN, **attrs, pattern=layout)
    assert ops.count(last) == ops.count(first)
    assert [t.shape for t in last.inputs] == [(1, 9, 7, 6), (8, 3, 3, 3), (8,)]
    assert last.outputs[0].shape == (1, 5, 4, 8)


def test_operands_are_parsed_once() -> None:
    assert patterns(CONV) is patterns(CONV)
    (conv,) = patterns(CONV)
    assert [o.name for o in conv.inputs] == ["", "weight", "bias"]
    assert [o.optional for o in conv.inputs] == [False, False, True]
    assert [o.axes for o in conv.inputs] == [("n", "c", "*x"), ("f", "g", "*k"), ("f",)]


def test_letters_of_formulas_come_from_their_patterns() -> None:
    """Attributes have words for names; only the kernel of a pool, k, is one of them."""
    for entry in ops.known():
        operands = [o for p in entry.patterns for o in (*p.inputs, *p.outputs)]
        given = {axis.strip("*") for o in operands for axis in o.axes} | {o.name for o in operands}
        asked = {
            name for name, default in ops.parameters(entry.count) if default is Parameter.empty
        }
        assert {name for name in asked if len(name) == 1} <= given | {"k"}, entry.name


@pytest.mark.parametrize(
    ("size", "text"), [(3, "3"), ((1, 3, H), "1x3xH"), ((), "()"), (H + 1, "H + 1")]
)
def test_sizes_are_shown_as_people_write_them(size: Any, text: str) -> None:
    assert show(size) == text


def test_a_formula_that_lacks_a_size_says_which() -> None:
    pool = Node("max_pool", (Tensor("x", (1, 2, 8)),), (Tensor("y", (1, 2, 4)),))
    with pytest.raises(ShapeMismatch, match="'k' is not given"):
        ops.count(pool)
