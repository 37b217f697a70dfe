"""Counts of attention, vision, ordering and transforms against loops over their definitions,
run on numbers that keep a tally."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import pytest

from flopwise import ops
from flopwise.counts import Counts
from flopwise.dims import symbol
from flopwise.graph import Tensor
from flopwise.tally import Number, absolute, exp, less, maximum, minimum, sqrt
from support.single import single
from support.work import work


class Ledger:
    """Makes numbers, all of whose operations are written down."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()

    def __call__(self) -> Number:
        return Number(0.5, self.kinds)

    def total(self, terms: list[Any]) -> Any:
        result = terms[0]
        for term in terms[1:]:
            result = result + term
        return result

    def dot(self, length: int) -> Any:
        return self.total([self() * self() for _ in range(length)])

    def greatest(self, terms: list[Any]) -> Any:
        result = terms[0]
        for term in terms[1:]:
            result = maximum(result, term)
        return result

    def equals(self, counts: Counts) -> bool:
        """Whether counts, with dot products written out, are what was done."""
        found = Counter({k: v for k, v in counts.items() if k not in ("read", "write")})
        mac, dot = found.pop("mac", 0), found.pop("dot", 0)
        found += Counter({"mul": mac, "add": mac - dot})
        return +found == +self.kinds


def attended(n: Ledger, heads: int, q: int, k: int, d: int, v: int) -> None:
    for _ in range(heads * q):
        row = [n.dot(d) * n() + n() for _ in range(k)]
        top = n.greatest(row)
        raised = [exp(s - top) for s in row]
        whole = n.total(raised)
        for r in raised:
            r / whole
        for _ in range(v):
            n.dot(k)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_attention(kv_heads: int) -> None:
    n = Ledger()
    attended(n, 2 * 4, 3, 5, 6, 7)
    node = single("attention", (2, 4, 3, 6), (2, kv_heads, 5, 6), (2, kv_heads, 5, 7), (3, 5))
    assert n.equals(ops.count(node))


def test_packed_heads_cost_what_heads_cost() -> None:
    apart = ops.count(single("attention", (2, 4, 3, 6), (2, 2, 5, 6), (2, 2, 5, 6)))
    packed = ops.count(
        single("multi_head_attention", (2, 3, 24), (2, 5, 12), (2, 5, 12), heads=4, kv_heads=2)
    )
    assert packed == apart


def test_a_mask_and_the_scale_are_one_operation_a_score() -> None:
    operands = (2, 4, 3, 6), (2, 4, 5, 6), (2, 4, 5, 7)
    scores = 2 * 4 * 3 * 5
    plain = ops.count(single("attention", *operands))
    assert (ops.count(single("attention", *operands, (3, 5))) - plain).add == scores
    assert (plain - ops.count(single("attention", *operands, scaled=0))).ops == scores


def test_causal_and_window_leave_the_count_of_the_full_square() -> None:
    operands = (2, 4, 8, 6), (2, 4, 8, 6), (2, 4, 8, 6)
    full = ops.count(single("attention", *operands))
    assert ops.count(single("attention", *operands, causal=True, window=4)) == full


def test_macs_of_attention_in_letters() -> None:
    b, t = symbol("b"), symbol("t")
    assert ops.count(single("attention", *[(b, 8, t, 64)] * 3)).mac == 2 * 8 * 64 * b * t * t


def test_rotary_embedding() -> None:
    n = Ledger()
    for _ in range(2 * 3 * 4):  # pairs
        a, b, cos, sin = n(), n(), n(), n()
        _ = a * cos - b * sin, a * sin + b * cos
    assert n.equals(ops.count(single("rotary_embedding", (2, 3, 8))))


def test_selective_scan() -> None:
    b, d, t, s = 2, 3, 4, 5
    n = Ledger()
    for _ in range(b * d * t):
        delta, x = n(), n()
        drive = delta * x
        for _ in range(s):
            exp(delta * n()) * n() + drive * n()
        n.dot(s) + n() * x
    operands = (b, d, t), (b, d, t), (d, s), (b, s, t), (b, s, t), (d,)
    assert n.equals(ops.count(single("selective_scan", *operands)))


@pytest.mark.parametrize(("mode", "taps"), [("linear", 2), ("cubic", 4)])
def test_resize_blends_neighbours_on_the_axes_that_change(mode: str, taps: int) -> None:
    for size, changed in [((8, 8), 2), ((4, 8), 1), ((4, 4), 0)]:
        n = Ledger()
        for _ in range(3 * size[0] * size[1] if changed else 0):
            n.total([n() * n() for _ in product(range(taps), repeat=changed)])
        assert n.equals(ops.count(single("resize", (1, 3, 4, 4), size=size, mode=mode)))


def test_nearest_costs_nothing_but_bytes() -> None:
    counts = ops.count(single("resize", (1, 3, 4, 4), scale=2))
    assert (counts.ops, counts.read, counts.write) == (0, 4 * 48, 4 * 192)


def test_antialiasing_stretches_the_window_of_what_shrinks() -> None:
    for size, taps in [((4, 8), 4), ((4, 4), 16), ((4, 16), 8)]:
        n = Ledger()
        for _ in range(3 * size[0] * size[1]):
            n.dot(taps)
        node = single("resize", (1, 3, 8, 8), size=size, mode="linear", antialias=True)
        assert n.equals(ops.count(node))
    free = single("resize", (1, 3, symbol("h"), 8), size=(4, 8), mode="linear", antialias=True)
    assert ops.count(free).at(h=8).mul == 3 * 4 * 8 * 4


def test_grid_sample_and_roi_align() -> None:
    n = Ledger()
    for _ in range(3 * 5 * 6):
        n.dot(4)
    assert n.equals(ops.count(single("grid_sample", (1, 3, 9, 9), (1, 5, 6, 2))))
    n = Ledger()
    for _ in range(10 * 3 * 7 * 7):
        n.total([n.dot(4) for _ in range(4)]) / n()
    assert n.equals(ops.count(single("roi_align", (1, 3, 9, 9), (10, 4), size=7, samples=2)))


def overlapping(a: list[Any], b: list[Any], area_a: Any, area_b: Any) -> None:
    width = maximum(minimum(a[2], b[2]) - maximum(a[0], b[0]), 0)
    height = maximum(minimum(a[3], b[3]) - maximum(a[1], b[1]), 0)
    both = width * height
    less(both / (area_a + area_b - both), 0.5)


def test_suppression_that_drops_nothing() -> None:
    n, boxes = Ledger(), 8
    corners = [[n() for _ in range(4)] for _ in range(boxes)]
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in corners]
    for i, j in combinations(range(boxes), 2):
        overlapping(corners[i], corners[j], areas[i], areas[j])
    n.kinds["cmp"] += boxes * 3  # merging 8 boxes: 8 log2 8
    assert n.equals(ops.count(single("nms", (boxes, 4), (boxes,), kept=boxes)))


def test_yolo_squashes_all_but_width_and_height() -> None:
    sigmoid = Counts(add=2, exp=1, div=1)
    node = single("yolo", (1, 255, 13, 13), anchors=3, classes=80)
    counts = ops.count(node)
    assert counts - Counts(read=counts.read, write=counts.write) == 13 * 13 * 3 * 83 * sigmoid


def test_spatial_pyramid_is_three_poolings() -> None:
    pools = sum(
        ops.count(single("max_pool", (2, 5, 12, 12), k=k, stride=k)).cmp for k in (12, 6, 3)
    )
    assert ops.count(single("spp", (2, 5, 12, 12), levels=3)).cmp == pools


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_matrix_inverse_by_gauss_and_jordan(size: int) -> None:
    n = Ledger()
    a = [[n() for _ in range(size)] for _ in range(size)]
    for k in range(size):
        pivot = 1 / a[k][k]
        for j in range(size):
            a[k][j] = a[k][j] * pivot if j != k else pivot
        for i in (i for i in range(size) if i != k):
            for j in (j for j in range(size) if j != k):
                a[i][j] = a[i][j] - a[i][k] * a[k][j]
            a[i][k] = -a[i][k] * pivot
    assert n.equals(ops.count(single("matrix_inverse", (size, size))))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_determinant_by_elimination(size: int) -> None:
    n = Ledger()
    a = [[n() for _ in range(size)] for _ in range(size)]
    for k in range(size):
        for i in range(k + 1, size):
            factor = a[i][k] / a[k][k]
            for j in range(k + 1, size):
                a[i][j] = a[i][j] - factor * a[k][j]
    result = a[0][0]
    for k in range(1, size):
        result = result * a[k][k]
    assert n.equals(ops.count(single("determinant", (size, size))))


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_distances(p: float) -> None:
    n = Ledger()
    for _ in range(2 * 5 * 7):
        differences = [n() - n() for _ in range(3)]
        if p == 1:
            n.total([absolute(x) for x in differences])
        else:
            sqrt(n.total([x * x for x in differences]))
    assert n.equals(ops.count(single("cdist", (2, 5, 3), (2, 7, 3), p=p)))


def fourier(n: Ledger, length: int) -> None:
    """Radix 2: twice the half, then length / 2 butterflies on real and imaginary parts."""
    if length == 1:
        return
    fourier(n, length // 2)
    fourier(n, length // 2)
    for _ in range(length // 2):
        (a, b), (c, d), (u, v) = ((n(), n()) for _ in range(3))
        x, y = c * u - d * v, c * v + d * u
        _ = a + x, b + y, a - x, b - y


@pytest.mark.parametrize("length", [1, 2, 8, 32])
def test_fast_fourier_transform(length: int) -> None:
    n = Ledger()
    fourier(n, length)
    assert n.equals(ops.count(single("fft", (length,))))
    assert sum(n.kinds.values()) == 5 * length * (length - 1).bit_length()


def test_a_real_transform_is_half() -> None:
    whole, half = (ops.count(single("fft", (3, 64), kind=k)) for k in ("complex", "real"))
    assert half.ops * 2 == whole.ops


def test_scatter_and_bags_add_what_they_join() -> None:
    assert ops.count(single("scatter", (9, 4), (2, 4), (2, 4))).ops == 0
    assert ops.count(single("scatter", (9, 4), (2, 4), (2, 4), reduction="add")).add == 8
    bag = ops.count(single("embedding_bag", (2, 8), (100, 16), mode="mean"))
    assert (bag.add, bag.div) == (2 * 7 * 16, 2 * 16)


def test_mean_variance_norm_is_a_norm_without_weights() -> None:
    mvn = ops.count(single("mean_variance_norm", (2, 3, 4, 5), axes=(2, 3)))
    assert mvn == ops.count(single("instance_norm", (2, 3, 4, 5)))


@pytest.mark.parametrize(("length", "k", "comparisons"), [(8, 1, 7), (8, 4, 16), (1000, 5, 3000)])
def test_top_k_by_a_heap(length: int, k: int, comparisons: int) -> None:
    assert ops.count(single("top_k", (length,), k=k)).cmp == comparisons


def test_sorting_a_free_length_is_listed() -> None:
    assert ops.count(single("sort", (symbol("n"),))) is None
    assert ops.count(single("sort", (symbol("n"), 8))).cmp == 24 * symbol("n")


def test_grouped_matmul_is_one_product_per_row() -> None:
    t = symbol("t")
    rows = ops.count(single("grouped_matmul", (t, 64), (8, 64, 32)))
    assert rows.mac == ops.count(single("matmul", (t, 64), (64, 32))).mac


def test_grouped_matmul_reads_no_more_matrices_than_rows() -> None:
    few, many = (single("grouped_matmul", (t, 64), (8, 64, 32)) for t in (2, 100))
    assert ops.count(few).read == 4 * (2 * 64 + 2 * 64 * 32)
    assert ops.count(many).read == 4 * (100 * 64 + 8 * 64 * 32)


def test_nodes_that_are_alike_are_counted_once() -> None:
    """The layers of a network repeat; what differs in what a formula sees is counted anew."""
    first = single("add", (2, 3), (1, 3))
    counted, other = ops.count(first), replace(first, name="other")
    with work(at_most=20):
        assert ops.count(other) is counted
    apart = [single("add", (2, 3), (2, 3)), single("sub", (2, 3), (1, 3))]
    apart.append(single("add", Tensor("x", (2, 3), "float16", role="input"), (1, 3)))
    twice = single("add", *[Tensor("x", (2, 3), role="input")] * 2)
    counts = [ops.count(node) for node in (first, *apart, twice)]
    assert [c.bytes for c in counts if c] == [4 * 15, 4 * 18, 4 * 15, 2 * 12 + 4 * 3, 4 * 12]
    # One formula, two operators: what moves data is not taken for what is only a view of it.
    seen, moved = (ops.count(single(op, (2, 3))) for op in ("identity", "copy"))
    assert seen is not None and moved is not None and (seen.bytes, moved.bytes) == (0, 4 * 12)
