"""Sizes: whatever the way an expression was built, it has Python's integers as values."""

from __future__ import annotations

import copy
import operator
import pickle
from fractions import Fraction
from typing import Any

import numpy
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from flopwise import dims
from flopwise.dims import at, at_least, ceildiv, floordiv, maximum, minimum, render, symbol
from flopwise.errors import FlopwiseError
from flopwise.sizes import parse, parse_shape

N, H, W = map(symbol, "NHW")
NAMES = ("N", "H", "W")
OURS = {"+": operator.add, "-": operator.sub, "*": operator.mul,
        "//": floordiv, "max": maximum, "min": minimum}  # fmt: skip
PYTHON = {**OURS, "//": operator.floordiv, "max": max, "min": min}

trees = st.recursive(
    st.sampled_from(NAMES) | st.integers(-9, 9),
    lambda sub: st.tuples(st.sampled_from([*OURS]), sub, sub),
    max_leaves=8,
)
points = st.fixed_dictionaries({n: st.integers(1, 12) | st.integers(1, 10**6) for n in NAMES})
polynomials = st.lists(
    st.tuples(st.integers(-6, 6), *[st.integers(0, 3)] * 3), min_size=1, max_size=4
).map(lambda terms: sum((c * N**i * H**j * W**k for c, i, j, k in terms), 0))


def evaluate(tree: Any, leaves: dict[str, Any], functions: dict[str, Any]) -> Any:
    """A tree over symbols or over numbers; points where it divides by 0 are left out."""
    if not isinstance(tree, tuple):
        return leaves[tree] if isinstance(tree, str) else tree
    name, left, right = tree
    a, b = (evaluate(side, leaves, functions) for side in (left, right))
    assume(name != "//" or b != 0)
    return functions[name](a, b)


def built(tree: Any) -> Any:
    return evaluate(tree, dict(zip(NAMES, (N, H, W))), OURS)


@given(trees, points)
@example(("//", ("//", "N", -2), -3), {"N": 5, "H": 1, "W": 1})
@example(("//", ("+", ("//", "H", 2), "W"), 2), {"N": 1, "H": 3, "W": 1})
def test_an_expression_has_the_value_of_pythons_integers(tree, sizes):
    wanted = evaluate(tree, sizes, PYTHON)
    assert at(built(tree), sizes) == wanted


@given(trees, trees, st.lists(points, min_size=1, max_size=8))
@example(("//", ("-", 1, "H"), 2), 0, [{"N": 1, "H": 9, "W": 1}])
@example(("*", ("//", ("-", "H", 9), 2), "W"), ("-", 0, 4), [{"N": 1, "H": 1, "W": 9}])
@example(("//", "N", ("-", "H", "W")), 0, [{"N": 1, "H": 1, "W": 2}])
@example(
    ("+", ("*", 9, ("*", ("//", "H", 3), ("//", "W", 3))), ("+", "H", "W")), 3, []
)  # each floor has a bound below 0 at 1, and their product one above it
def test_at_least_never_claims_what_is_false(left, right, several):
    a, b = built(left), built(right)
    if at_least(a, b):
        for sizes in [*several, dict.fromkeys(NAMES, 1)]:
            try:
                assert at(a, sizes) >= at(b, sizes)
            except ZeroDivisionError:
                continue


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (H, 1), (H + 2, 3), (H, H // 2), (H // 2 + 1, 1), ((H + 1) // 2, 1), (N * H, N), (N * H, H),
        (H * W + 1, W + 1), (3 * (H // 3) + 2, H), ((H + 31) // 32, 1), (H, (H + 3) // 4),
        ((H // 2) * (W // 3) + 1, 1), (H * W, (H // 2) * (W // 2)),
        (((H + 1) // 2) * ((W + 1) // 2), 1), ((H // 2) * (W // 2), 0),
    ],
)  # fmt: skip
def test_at_least_proves_what_networks_ask(a, b):
    assert at_least(a, b)
    assert maximum(a, b) == a
    assert minimum(a, b) == b
    assert minimum(b, a) == b


@pytest.mark.parametrize(("a", "b"), [(H, 2), (H, W), (H // 2, 1), (H - 1, 1), (2 * H, H * H)])
def test_at_least_leaves_open_what_depends(a, b):
    assert not at_least(a, b)
    for sizes in ({"H": 1, "W": 9}, {"H": 9, "W": 1}):
        assert at(maximum(a, b), sizes) == max(at(a, sizes), at(b, sizes))


@given(trees, st.lists(points, min_size=1, max_size=5))
def test_arrays_give_every_point_at_once(tree, several):
    wanted = [evaluate(tree, sizes, PYTHON) for sizes in several]
    arrays = {n: numpy.array([s[n] for s in several]) for n in NAMES}
    found = at(built(tree), arrays)
    assert numpy.broadcast_to(found, len(several)).tolist() == wanted


def test_arrays_do_not_overflow():
    assert at(H**3 * 10**9, {"H": numpy.array([10**6], "int32")}).tolist() == [10**27]
    assert at(H - 2, {"H": numpy.array([1], "uint8")}).tolist() == [-1]


@given(trees, points)
def test_what_is_printed_reads_back(tree, sizes):
    size, wanted = built(tree), evaluate(tree, sizes, PYTHON)
    assert parse(render(size)) == size
    assert parse(render(size, order=("W", "H"))) == size
    assert eval(render(size), {"max": max, "min": min}, dict(sizes)) == wanted


@given(trees, trees, trees)
def test_sums_and_products_are_a_ring(a, b, c):
    a, b, c = built(a), built(b), built(c)
    same = [
        (a + b, b + a), (a * b, b * a), ((a + b) + c, a + (b + c)), ((a * b) * c, a * (b * c)),
        (a * (b + c), a * b + a * c), (a - b, a + -1 * b), (a - a, 0),
        (maximum(a, b), maximum(b, a)), (minimum(a, b), minimum(b, a)),
    ]  # fmt: skip
    for left, right in same:
        assert left == right
        assert hash(left) == hash(right)
        assert str(left) == str(right)


@given(polynomials, polynomials)
def test_a_product_divides_exactly(p, q):
    assume(q != 0)
    assert floordiv(p * q, q) == p


@given(trees, st.integers(1, 9), st.integers(1, 9))
def test_floors_are_canonical(tree, a, b):
    x = built(tree)
    assert floordiv(x + a * H, a) == floordiv(x, a) + H
    assert floordiv(x * b, a * b) == floordiv(x, a)
    assert floordiv(x, -a) == floordiv(-x, a)
    assert (x - a * floordiv(x, a)) == (x % a)


@given(polynomials, st.integers(1, 9), st.integers(1, 9))
def test_floors_nest(x, a, b):
    assert floordiv(floordiv(x, a), b) == floordiv(x, a * b)


@given(trees, polynomials, points)
def test_putting_expressions_in_agrees_with_putting_numbers_in(tree, inner, sizes):
    positive = inner * inner + 1
    evaluate(tree, {**sizes, "H": at(positive, sizes)}, PYTHON)
    assert at(at(built(tree), {"H": positive}), sizes) == at(
        built(tree), {**sizes, "H": at(positive, sizes)}
    )


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (((((H + 1) // 2 + 1) // 2 + 1) // 2 + 1) // 2, "((H + 15)//16)"),
        ((H - 1) // 2 + 1, "((H + 1)//2)"),
        (((H - 1) // 2 + 1 - 1) // 2 + 1, "((H + 3)//4)"),
        ((4 * H + 2) // 4, "H"),
        ((6 * H + 3 * W + 5) // 9, "((2*H + W + 1)//3)"),
        ((N * H * W) // (H * W), "N"),
        ((H * H - W * W) // (H + W), "H - W"),
        (N // H, "(N//(H))"),
        (5 // H, "(5//(H))"),
        (maximum(W, H) + minimum(3, W), "max(H, W) + min(3, W)"),
        (N * N * H + N * H * H - 1, "H**2*N + H*N**2 - 1"),
        (-H, "-H"),
        (H - 2 * W * N + 7, "-2*N*W + H + 7"),
        (H / 2 + N / 4 * 3 - H, "-1/2*H + 3/4*N"),
        ((H / 2) // 3, "(H//6)"),
        ((H + 1) // Fraction(1, 2), "2*H + 2"),
        ((H // 4 + (7 - H // 4 % 7) % 7) // 7, "((H + 24)//28)"),
        ((H // 4 + H // 4 % 2) // 2, "((H + 4)//8)"),
        ((H // 4 - H // 4 % 2) // 2, "(H//8)"),
        (-(H // 4) // 7, "-((H + 24)//28)"),
    ],
)
def test_canonical_text(size, text):
    assert str(size) == text
    assert parse(text) == size


def test_order_and_sign_of_the_product_are_the_callers():
    assert render(3 * W * H * N, order="NHW", times=" · ") == "3 · N · H · W"
    assert render(W + H, order=["W"]) == "W + H"
    assert render(7) == "7"


def test_expressions_are_values():
    size = maximum((H + 1) // 2, W // 3) * N + Fraction(1, 2)
    assert {size: 1}[maximum(W // 3, (H + 1) // 2) * N + Fraction(2, 4)] == 1
    assert copy.deepcopy(size) == size
    assert pickle.loads(pickle.dumps(size)) == size
    assert size != 1
    assert dims.symbols(size) == {"N", "H", "W"}
    assert dims.symbols(5) == set()


def test_numbers_of_numpy_are_numbers():
    two = numpy.int64(2)
    for size in (H * two, two * H, H + two, two + H, H // two, ceildiv(H, two), maximum(H, two)):
        assert parse(str(size)) == size
    assert type(floordiv(numpy.int64(7), two)) is int
    assert floordiv(H * W, numpy.int64(1)) == H * W


@pytest.mark.parametrize("stranger", ["text", None, 1.5, [1], object()])
def test_strangers_are_refused(stranger):
    for sign in (operator.add, operator.mul):
        with pytest.raises(TypeError):
            sign(H, stranger)


@pytest.mark.parametrize(
    ("name", "text"),
    [("N", "N"), ("batch size", "batch_size"), ("2D", "_2D"), ("lambda", "_lambda"), ("", "_"),
     ("größe", "größe"), ("x²", "x2"), ("a+b", "a_b")],
)  # fmt: skip
def test_every_name_can_be_read_back(name, text):
    assert str(symbol(name)) == text
    assert parse(str(2 * symbol(name))) == 2 * symbol(name)


def test_a_floor_by_zero_is_pythons_error():
    for a in (H, 1):
        with pytest.raises(ZeroDivisionError):
            floordiv(a, 0)


@pytest.mark.parametrize(
    "text", ["1x3x7/2x7", "1x0x3", "1x-3", "1xH//0x2", "1x3x1.5", "1x10000000000"]
)
def test_sizes_that_no_tensor_has_are_refused(text):
    with pytest.raises(FlopwiseError):
        parse_shape(text)
