"""Every formula of contractions against its definition.

The loops in support/ know no formula: they run on numbers that keep a tally, and what
they did must be what the formula says, kind by kind, with sizes known and with sizes free.
Pooling, norms and reductions are in test_formulas_of_rows.py.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flopwise import ops
from flopwise.errors import ShapeMismatch
from flopwise.tally import Number
from support import contractions as loops
from support.oracle import check, slidings
from support.single import OPEN, shapes, single
from support.tape import Tape, filled, values

some = settings(max_examples=40, deadline=None)
booleans, one_or_two = st.booleans(), st.integers(1, 2)
groupings = st.tuples(one_or_two, one_or_two, one_or_two, booleans)


@some
@given(slidings(), groupings)
def test_conv(sizes: Any, grouping: Any) -> None:
    groups, g, per_group, bias = grouping
    n, x, k, f = sizes.pop("n"), sizes.pop("x"), sizes.pop("k"), groups * per_group
    tape, shape = Tape(), (n, groups * g, *x)
    data, weight = tape.array(*shape, contracted=True), tape.array(f, g, *k, contracted=True)
    offset = tape.array(f) if bias else None
    y = loops.conv(tape, data, weight, offset, **sizes, groups=groups)
    operands = shape, OPEN, OPEN if bias else None
    check(tape, y, "conv", *operands, f=f, k=k, groups=groups, **sizes)


@some
@given(slidings(), groupings, st.tuples(*[st.integers(0, 1)] * 3))
def test_conv_transpose(sizes: Any, grouping: Any, output_pad: Any) -> None:
    groups, c, g, bias = grouping
    n, x, k, f = sizes.pop("n"), sizes.pop("x"), sizes.pop("k"), groups * g
    sizes["output_pad"] = output_pad[: len(x)]
    tape, shape = Tape(), (n, groups * c, *x)
    data = tape.array(*shape, contracted=True)
    weight = tape.array(groups * c, g, *k, contracted=True)
    offset = tape.array(f) if bias else None
    y = loops.conv_transpose(tape, data, weight, offset, **sizes, groups=groups)
    assume(y is not None)
    operands = shape, OPEN, OPEN if bias else None
    check(tape, y, "conv_transpose", *operands, f=f, k=k, groups=groups, **sizes)


@some
@given(slidings(), groupings, booleans)
def test_deform_conv(sizes: Any, grouping: Any, modulated: bool) -> None:
    groups, g, per_group, bias = grouping
    n, x, k, f = sizes.pop("n"), sizes.pop("x"), sizes.pop("k"), groups * per_group
    tape, shape = Tape(), (n, groups * g, *x)
    data, weight = tape.array(*shape), tape.array(f, g, *k, contracted=True)
    offset = tape.array(f) if bias else None
    y = loops.deform_conv(tape, data, weight, offset, **sizes, groups=groups, modulated=modulated)
    operands = shape, OPEN, OPEN if bias else None
    attrs = {**sizes, "f": f, "k": k, "groups": groups, "modulated": int(modulated)}
    check(tape, y, "deform_conv", *operands, **attrs)


@some
@given(slidings(), one_or_two, one_or_two, booleans)
def test_local_conv(sizes: Any, c: int, f: int, bias: bool) -> None:
    n, x, k, stride, pad = (sizes[name] for name in ("n", "x", "k", "stride", "pad"))
    tape, shape = Tape(), (n, c, *x)
    wide = [a + b + e for a, (b, e) in zip(x, pad)]
    assume(all(a >= t for a, t in zip(wide, k)))
    places = tuple(len(loops.starts(*axis)) for axis in zip(wide, k, stride))
    data, weight = (
        tape.array(*shape, contracted=True), tape.array(*places, f, c, *k, contracted=True)
    )  # fmt: skip
    offset = tape.array(f, *places) if bias else None
    y = loops.local_conv(tape, data, weight, offset, stride, pad)
    operands, attrs = (shape, OPEN, OPEN if bias else None), {"f": f, "k": k}
    check(tape, y, "local_conv", *operands, **attrs, stride=stride, pad=pad)


def test_no_contraction_is_left_out() -> None:
    """An operator that joins the family needs its loops here."""
    assert {entry.name for entry in ops.known() if entry.family == "contraction"} == {
        "bilinear", "conv", "conv_transpose", "deform_conv", "einsum", "linear", "local_conv",
        "matmul", "svdf",
    }  # fmt: skip


def test_padding_that_keeps_the_size_is_ceil_of_x_over_stride() -> None:
    """pad "same" as TensorFlow has it; a transposed convolution undoes it."""
    for x, stride in ((7, 1), (7, 2), (8, 2), (1, 3), (9, 4)):
        attrs = {"f": 1, "k": 3, "stride": stride, "pad": "same"}
        ((*_, size),) = shapes("conv", (1, 1, x), OPEN, **attrs)
        assert size == len(range(0, x, stride))
        ((*_, size),) = shapes("conv_transpose", (1, 1, x), OPEN, **attrs)
        assert size == x * stride


@some
@given(st.lists(st.integers(1, 3), max_size=3), st.integers(1, 4), st.integers(1, 3), booleans)
def test_linear(batch: Any, i: int, o: int, bias: bool) -> None:
    tape = Tape()
    data, weight = tape.array(*batch, i, contracted=True), tape.array(i, o, contracted=True)
    y = loops.matmul(tape, data, weight)
    assert numpy.allclose(values(y), values(data) @ values(weight))
    y = y + tape.array(o) if bias else y
    check(tape, y, "linear", (*batch, i), OPEN, OPEN if bias else None, o=o)


@some
@given(st.lists(one_or_two, max_size=2), *[st.integers(1, 3)] * 3, booleans)
def test_bilinear(batch: Any, i: int, j: int, o: int, bias: bool) -> None:
    """The products of all pairs are ordinary ones; a matrix then contracts them."""
    tape, rows = Tape(), prod(batch)
    left, right = tape.array(rows, i, 1), tape.array(rows, 1, j)
    pairs = (left * right).reshape(rows, i * j)
    pairs = filled(pairs.shape, lambda at: Number(pairs[at].value, tape.products))
    y = loops.matmul(tape, pairs, tape.array(i * j, o, contracted=True)).reshape(*batch, o)
    y = y + tape.array(o) if bias else y
    operands = (*batch, i), (*batch, j), OPEN, OPEN if bias else None
    check(tape, y, "bilinear", *operands, o=o, free=False)


@some
@given(one_or_two, st.integers(1, 3), one_or_two, one_or_two, st.integers(1, 3), booleans)
def test_svdf(n: int, i: int, units: int, rank: int, memory: int, bias: bool) -> None:
    """Each filter: a product over features, then one over its own last values in time."""
    tape, r = Tape(), units * rank
    loops.matmul(tape, tape.array(n, i, contracted=True), tape.array(i, r, contracted=True))
    for _ in range(n * r):
        past, weights = tape.array(memory, contracted=True), tape.array(memory, contracted=True)
        loops.matmul(tape, past, weights)
    y = tape.array(n, units, rank)
    y = sum((y[..., j] for j in range(1, rank)), y[..., 0])
    y = y + tape.array(units) if bias else y
    weights = ((r, i), (r, memory), OPEN if bias else None)
    check(tape, y, "svdf", (n, i), *weights, rank=rank)


@some
@given(*[st.lists(one_or_two, max_size=2)] * 2, *[st.integers(1, 3)] * 3, booleans, booleans)
def test_matmul(p: Any, q: Any, m: int, k: int, n: int, row: bool, column: bool) -> None:
    try:
        numpy.broadcast_shapes(p, q)
    except ValueError:
        with pytest.raises(ShapeMismatch, match="is both 2 and"):
            single("matmul", (*p, m, k), (*q, k, n))
        return
    tape = Tape()
    a = tape.array(*([k] if row else [*p, m, k]), contracted=True)
    b = tape.array(*([k] if column else [*q, k, n]), contracted=True)
    y = loops.matmul(tape, a, b)
    assert numpy.allclose(values(y), values(a) @ values(b))
    check(tape, y, "matmul", a.shape, b.shape, free=False)


@st.composite
def equations(draw: Any) -> tuple[str, list[tuple[int, ...]]]:
    """An einsum of one to three operands, with shapes; batch axes may broadcast."""
    sizes = {letter: draw(st.integers(1, 3)) for letter in "ijkl"}
    batch = draw(st.lists(st.integers(1, 3), max_size=2))
    terms, operands = [], []
    for _ in range(draw(st.integers(1, 3))):
        letters = draw(st.lists(st.sampled_from("ijkl"), min_size=1, max_size=3, unique=True))
        place, shape = draw(st.integers(0, len(letters))), [*map(sizes.__getitem__, letters)]
        some_of = batch[draw(st.integers(0, len(batch))) :]
        mine = [draw(st.sampled_from((1, size))) for size in some_of]
        dots = ["..."] if mine or draw(booleans) else []
        terms.append("".join([*letters[:place], *dots, *letters[place:]]))
        operands.append((*shape[:place], *mine, *shape[place:]))
    equation = ",".join(terms)
    if draw(booleans):
        used = sorted(set(equation) - set(".,"))
        kept = draw(st.lists(st.sampled_from(used), unique=True))
        equation += "->" + "".join([*kept[:1], "..." if "..." in equation else "", *kept[1:]])
    return equation, operands


def check_einsum(equation: str, operands: list[tuple[int, ...]]) -> None:
    tape = Tape()
    arrays = [tape.array(*shape, contracted=len(operands) > 1) for shape in operands]
    y = loops.einsum(tape, equation, arrays)
    assert numpy.allclose(values(y), numpy.einsum(equation, *map(values, arrays)))
    check(tape, y, "einsum", *operands, free=False, equation=equation)


@settings(max_examples=150, deadline=None)
@given(equations())
def test_einsum(case: tuple[str, list[tuple[int, ...]]]) -> None:
    check_einsum(*case)


@pytest.mark.parametrize(
    ("equation", "operands"),
    [
        ("ii->", [(3, 3)]),
        ("ii->i", [(3, 3)]),
        ("ji", [(2, 3)]),
        ("ii,i", [(2, 2), (2,)]),
        ("ij,jk,kl->il", [(2, 3), (3, 2), (2, 4)]),
        ("i...,...,...j->j...", [(2, 1, 2), (1, 2), (3, 2, 2)]),
        ("bhqd,bhkd->bhqk", [(2, 2, 3, 2), (2, 2, 4, 2)]),
        ("bhqd, bhkd -> bhqk", [(1, 2, 3, 2), (1, 2, 4, 2)]),
    ],
)
def test_einsum_as_people_write_it(equation: str, operands: Any) -> None:
    check_einsum(equation.replace(" ", ""), operands)
    plain, spaced = (single("einsum", *operands, equation=e) for e in (equation, f" {equation} "))
    assert plain.outputs == spaced.outputs


@pytest.mark.parametrize(
    ("equation", "operands", "words"),
    [
        ("ij,jk->ik", [(2, 3), (4, 5)], "axis j is both 3 and 4"),
        ("ij,jk->ik", [(2, 3)], "has 2 operands, 1 given"),
        ("ijk->i", [(2, 3)], "term 'ijk' does not fit 2x3"),
    ],
)
def test_einsum_says_what_does_not_fit(equation: str, operands: Any, words: str) -> None:
    with pytest.raises(ShapeMismatch, match=words):
        single("einsum", *operands, equation=equation)


@pytest.mark.parametrize(
    ("op", "operands", "attrs", "words"),
    [
        ("conv", ((1, 3, 8), OPEN), {"f": 4, "k": 3, "groups": 2}, "do not divide into 2"),
        ("conv", ((1, 3, 2), OPEN), {"f": 4, "k": 3}, "a window of 3 does not fit an axis of 2"),
        ("conv", ((1, 4, 8), (4, 3, 3)), {}, "axis g is both 3 and 4"),
        ("conv", ((1, 4, 8, 8), OPEN), {"f": 4, "k": (3, 3, 3)}, "3 sizes .* for 2 axes"),
        ("conv_transpose", ((1, 1, 2), OPEN), {"f": 1, "k": 1, "pad": 1}, "leaves nothing of 2"),
        ("linear", ((2, 3), (5, 4)), {}, "axis i is both 3 and 4"),
        ("matmul", ((2, 3), (4, 5)), {}, "axis k is both 3 and 4"),
    ],
)  # fmt: skip
def test_contractions_say_what_does_not_fit(op: str, operands: Any, attrs: Any, words: str) -> None:
    with pytest.raises(ShapeMismatch, match=words):
        single(op, *operands, **attrs)
