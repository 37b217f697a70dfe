"""Every formula of pooling, norms and reductions against its definition, as loops run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flopwise import ops
from flopwise.errors import ShapeMismatch
from flopwise.graph import Tensor
from flopwise.tally import absolute, bit, exp, log, minimum, sqrt
from support import reductions as rows
from support.contractions import padded
from support.oracle import check, slidings
from support.single import OPEN, single
from support.tape import Tape, filled, fold, greatest, total, values

some = settings(max_examples=40, deadline=None)
booleans = st.booleans()
images = st.lists(st.integers(1, 3), min_size=2, max_size=4).map(tuple)
powers = st.sampled_from([1, 2, 3])


def pooled(kind: str, p: float) -> Callable[[Any], Any]:
    """What one window becomes."""
    ways = {"max": greatest, "avg": rows.mean, "sum": total, "lp": lambda v: rows.norm(v, p)}
    return ways[kind]


@some
@given(slidings(), st.sampled_from(["max", "avg", "sum", "lp"]), powers,
       st.sampled_from([False, True, "full"]))  # fmt: skip
def test_pools(sizes: Any, kind: str, p: int, ceil: Any) -> None:
    n, x = sizes.pop("n"), sizes.pop("x")
    tape, shape, attrs = Tape(), (n, 2, *x), {**sizes, "ceil": ceil}
    y = rows.pool(tape.array(*shape), **attrs, one=pooled(kind, p))
    check(tape, y, f"{kind}_pool", shape, **attrs, **({"p": p} if kind == "lp" else {}))


@pytest.mark.parametrize("ceil", [True, "full"])
def test_ceil_mode_takes_a_window_wider_than_the_axis(ceil: Any) -> None:
    """As in PyTorch 2.13: max_pool1d of 2 elements with kernel 3 and stride 2 gives one,
    and of 1 element is refused."""
    assert single("max_pool", (1, 1, 2), k=3, stride=2, ceil=ceil).outputs[0].shape == (1, 1, 1)
    with pytest.raises(ShapeMismatch, match="a window of 3 does not fit an axis of 1"):
        single("max_pool", (1, 1, 1), k=3, stride=2, ceil=ceil)


@some
@given(st.lists(st.integers(1, 4), min_size=3, max_size=5).map(tuple),
       st.sampled_from(["avg", "max", "lp"]), powers)  # fmt: skip
def test_global_pools(shape: Any, kind: str, p: int) -> None:
    tape = Tape()
    y = rows.reduced(tape.array(*shape), range(2, len(shape)), pooled(kind, p))
    check(tape, y, f"global_{kind}_pool", shape, **({"p": p} if kind == "lp" else {}))


@some
@given(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 4)), min_size=1, max_size=3),
       st.sampled_from(["avg", "max"]))  # fmt: skip
def test_adaptive_pools(axes: Any, kind: str) -> None:
    x, size = zip(*axes)
    tape = Tape()
    y = rows.adaptive_pool(tape.array(2, 1, *x), size, pooled(kind, 2))
    check(tape, y, f"adaptive_{kind}_pool", (2, 1, *x), size=size)


@some
@given(images, booleans, booleans)
def test_batch_norm(shape: Any, weight: bool, bias: bool) -> None:
    tape, c = Tape(), shape[1]
    x, mean, w, b = tape.array(*shape), tape.array(c), tape.array(c), tape.array(c)
    deviation = [sqrt(v + 1e-5) for v in tape.array(c)]

    def one(index: Any) -> Any:
        y = (x[index] - mean[index[1]]) / deviation[index[1]]
        y = y * w[index[1]] if weight else y
        return y + b[index[1]] if bias else y

    learned = OPEN if weight else None, OPEN if bias else None
    check(tape, filled(shape, one), "batch_norm", shape, OPEN, OPEN, *learned)


def learned(tape: Tape, y: Any, *flags: bool) -> Any:
    """A factor and an offset for each element, wherever they come from."""
    weight, bias = (*flags, False, False)[:2]
    y = y * tape.array(*y.shape) if weight else y
    return y + tape.array(*y.shape) if bias else y


NORMS: dict[str, Any] = {
    # operator: attributes for a rank, the axes of one mean, how many learned operands
    "batch_norm_train": (lambda rank: {}, lambda rank: [0, *range(2, rank)], 2),
    "instance_norm": (lambda rank: {}, lambda rank: [*range(2, rank)], 2),
    "layer_norm": (lambda rank: {"axes": rank - 1}, lambda rank: [*range(1, rank)], 2),
    "rms_norm": (lambda rank: {"axes": 1}, lambda rank: [rank - 1], 1),
    "mean_variance_norm": (lambda rank: {"axes": (0, -1)}, lambda rank: [0, rank - 1], 0),
}


@settings(max_examples=80, deadline=None)
@given(images, st.sampled_from([*NORMS]), booleans, booleans)
def test_norms(shape: Any, op: str, weight: bool, bias: bool) -> None:
    attrs, axes = (rule(len(shape)) for rule in NORMS[op][:2])
    flags = (weight, bias)[: NORMS[op][2]]
    tape = Tape()
    y = rows.along(tape.array(*shape), axes, lambda v: rows.standardized(v, op != "rms_norm"))
    own = (
        (shape[1],)
        if op in ("batch_norm_train", "instance_norm")
        else tuple(shape[a] for a in axes)
    )
    operands = [
        Tensor(f"w{i}", own, role="weight") if flag else None for i, flag in enumerate(flags)
    ]
    check(tape, learned(tape, y, *flags), op, shape, *operands, **attrs)


@some
@given(images)
def test_the_mean_alone_may_be_taken_off(shape: Any) -> None:
    tape, axes = Tape(), [*range(1, len(shape))]

    def centred(items: Any) -> Any:
        middle = rows.mean(items)
        return [x - middle for x in items]

    y = rows.along(tape.array(*shape), axes, centred)
    check(tape, y, "mean_variance_norm", shape, axes=tuple(axes), variance=False)


@some
@given(images, st.integers(1, 3), st.integers(1, 2), booleans, booleans)
def test_group_norm(shape: Any, groups: int, per_group: int, weight: bool, bias: bool) -> None:
    n, _, *x = shape
    tape, shape = Tape(), (n, groups * per_group, *x)
    y = rows.along(tape.array(n * groups, per_group, *x), range(1, len(shape)), rows.standardized)
    y = learned(tape, y.reshape(shape), weight, bias)
    own = Tensor("w", shape[1:2], role="weight"), Tensor("b", shape[1:2], role="weight")
    operands = own[0] if weight else None, own[1] if bias else None
    check(tape, y, "group_norm", shape, *operands, groups=groups)


@some
@given(images, booleans, booleans)
def test_scale(shape: Any, weight: bool, bias: bool) -> None:
    tape = Tape()
    y = learned(tape, tape.array(*shape), weight, bias)
    check(tape, y, "scale", shape, OPEN if weight else None, OPEN if bias else None)


@some
@given(images, st.sampled_from([1, 3, 5]), booleans)
def test_lrn(shape: Any, size: int, within: bool) -> None:
    """Across channels, or within one over a square; beyond the edges are zeros."""
    tape, half = Tape(), size // 2
    shape = (*shape[:2], 3, 2) if within else (*shape[:2], 2)
    x = tape.array(*shape)
    squares = filled(shape, lambda index: x[index] * x[index])
    pads = [(half, half)] * 2 if within else [(half, half), (0, 0)]
    wide = padded(squares, pads) if within else padded(squares[None], pads)[0]

    def one(index: Any) -> Any:
        n, c, *at = index
        spans = (slice(a, a + size) for a in at)
        near = wide[(n, c, *spans)] if within else wide[(n, slice(c, c + size), *at)]
        return x[index] / exp(log(2.0 + total(near.ravel()) * 1e-4) * 0.75)

    check(tape, filled(shape, one), "lrn", shape, size=size**2 if within else size)


@some
@given(images, st.sampled_from([(1,), (-1,), slice(1, None)]), booleans, booleans)
def test_l2_norm(shape: Any, axes: Any, weight: bool, shared: bool) -> None:
    tape = Tape()
    over = [*range(len(shape))][axes] if isinstance(axes, slice) else axes

    def unit(items: Any) -> Any:
        length = sqrt(total(x * x for x in items) + 1e-10)
        return [x / length for x in items]

    y = learned(tape, rows.along(tape.array(*shape), over, unit), weight)
    check(tape, y, "l2_norm", shape, OPEN if weight else None, axes=axes, shared=shared)


@some
@given(images, st.integers(-2, 1), booleans, st.sampled_from(["softmax", "log_softmax", "hardmax"]))
def test_softmax(shape: Any, axis: int, onward: bool, op: str) -> None:
    tape = Tape()
    over = [*range(axis % len(shape), len(shape))] if onward else [axis]
    x = tape.array(*shape)
    one = {"softmax": rows.softmax, "log_softmax": rows.log_softmax, "hardmax": rows.hardmax}[op]
    y = rows.along(x, over, one)
    powers = numpy.exp(values(x))
    share = powers / powers.sum(tuple(over), keepdims=True)
    assert numpy.allclose(
        values(y), {"softmax": share, "log_softmax": numpy.log(share)}.get(op, values(y))
    )
    check(tape, y, op, shape, axis=axis, onward=onward)


def variance(items: Any) -> Any:
    middle = rows.mean(items)
    apart = [x - middle for x in items]
    return rows.mean([d * d for d in apart])


REDUCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[..., Any] | None]] = {
    # operator: what the elements become, and what numpy calls it
    "reduce_sum": (total, numpy.sum),
    "reduce_mean": (rows.mean, numpy.mean),
    "reduce_max": (greatest, numpy.max),
    "reduce_min": (lambda v: fold(minimum, v), numpy.min),
    "reduce_prod": (lambda v: fold(lambda a, b: a * b, v), numpy.prod),
    "reduce_l1": (lambda v: total(absolute(x) for x in v), lambda a, **o: numpy.abs(a).sum(**o)),
    "reduce_l2": (rows.norm, lambda a, **o: numpy.sqrt((a * a).sum(**o))),
    "reduce_sum_square": (lambda v: total(x * x for x in v), lambda a, **o: (a * a).sum(**o)),
    "reduce_log_sum": (lambda v: log(total(v)), lambda a, **o: numpy.log(a.sum(**o))),
    "reduce_log_sum_exp": (
        lambda v: log(total(exp(x) for x in v)), lambda a, **o: numpy.log(numpy.exp(a).sum(**o)),
    ),
    "reduce_var": (variance, numpy.var),
    "reduce_std": (lambda v: sqrt(variance(v)), numpy.std),
    "reduce_any": (lambda v: fold(bit, v), None),
    "reduce_all": (lambda v: fold(bit, v), None),
    "argmax": (greatest, None),
    "argmin": (greatest, None),
}  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(images, st.sampled_from([*REDUCTIONS]), st.sets(st.integers(0, 1)), booleans, booleans)
def test_reductions(shape: Any, op: str, axes: set[int], everything: bool, keep: bool) -> None:
    tape, (one, by_numpy) = Tape(), REDUCTIONS[op]
    over = range(len(shape)) if everything else sorted(axes)
    x = tape.array(*shape)
    y = rows.reduced(x, over, one)
    if by_numpy is not None:
        wanted = by_numpy(values(x), axis=tuple(over), keepdims=True)
        assert numpy.allclose(values(y), wanted)
    y = y if keep else y.reshape([s for i, s in enumerate(shape) if i not in over])
    attrs = {"axes": None if everything else tuple(over), "keep": keep}
    check(tape, y, op, shape, **attrs)


def test_no_reduction_and_no_norm_is_left_out() -> None:
    """An operator that joins these families needs its loops here."""
    pools = {f"{kind}_pool" for kind in ("max", "avg", "sum", "lp")}
    pools |= {f"global_{kind}_pool" for kind in ("max", "avg", "lp")}
    pools |= {f"adaptive_{kind}_pool" for kind in ("max", "avg")}
    norms = {*NORMS, "batch_norm", "group_norm", "scale", "lrn", "l2_norm"}
    rows_ = {"softmax", "log_softmax", "hardmax", "cumsum", "cumprod"}
    families = ("reduction", "normalization")
    entered = {entry.name for entry in ops.known() if entry.family in families}
    assert entered == {*pools, *norms, *rows_, *REDUCTIONS}


@some
@given(images, st.integers(-2, 1), st.sampled_from(["cumsum", "cumprod"]))
def test_running_reductions(shape: Any, axis: int, op: str) -> None:
    tape = Tape()

    def running(items: Any) -> Any:
        done = [items[0]]
        for item in items[1:]:
            done.append(done[-1] + item if op == "cumsum" else done[-1] * item)
        return done

    x = tape.array(*shape)
    y = rows.along(x, [axis], running)
    assert numpy.allclose(values(y), getattr(numpy, op)(values(x), axis=axis))
    check(tape, y, op, shape, axis=axis)
