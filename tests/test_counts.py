"""The algebra of elementary things."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flopwise
from flopwise import dims, plugins
from flopwise.counts import (
    ELEMENTARY,
    FIELDS,
    ZERO,
    Counts,
    decimal,
    divide,
    dots,
    summed,
    together,
)
from flopwise.dims import symbol

N, K = symbol("N"), symbol("K")
amounts = st.integers(0, 10**12)
counted = st.builds(Counts, **dict.fromkeys(FIELDS, amounts))


@given(counted, counted, counted, amounts)
def test_counts_are_a_module(a: Counts, b: Counts, c: Counts, n: int) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + ZERO == a == ZERO + a
    assert a - a == ZERO
    assert n * (a + b) == n * a + n * b
    assert 1 * a == a
    assert 0 * a == ZERO
    assert (a + b).ops == a.ops + b.ops
    assert (n * a).weigh({"mac": 3, "exp": 5}) == n * a.weigh({"mac": 3, "exp": 5})


@given(counted, amounts)
def test_free_sizes_are_put_in_last(a: Counts, n: int) -> None:
    assert (N * a).at(N=n) == n * a
    assert (N * a + a).ops == N * a.ops + a.ops
    assert (N * a).at(K=n) == N * a


@pytest.mark.parametrize(
    ("counts", "ops", "flops"),
    [
        (dots(1, 1), 1, 2),
        (dots(1, 5), 9, 10),
        (dots(4, 5), 36, 40),
        (dots(4, 5) + Counts(add=4), 40, 40),
        (dots(N, K), 2 * N * K - N, 2 * N * K),
        (Counts(add=1, mul=2, div=3, cmp=4, exp=5, log=6, sqrt=7, trig=8, erf=9, bit=10), 55, 0),
        (Counts(read=100, write=10), 0, 0),
        (ZERO, 0, 0),
    ],
)
def test_a_dot_product_is_products_and_one_sum_less(counts: Counts, ops: Any, flops: Any) -> None:
    assert counts.ops == ops
    assert counts.flops == flops


def test_bytes_are_what_is_read_and_written() -> None:
    assert Counts(read=100, write=10, mac=7).bytes == 110


def test_only_what_occurs_is_listed() -> None:
    assert (dots(2, 3) + Counts(exp=N)).items() == [("mac", 6), ("dot", 2), ("exp", N)]
    assert ZERO.items() == []


def test_weights_may_be_fractions_and_leave_out_kinds() -> None:
    counts = Counts(mac=6, add=4, exp=1)
    assert counts.weigh({"mac": 1, "add": Fraction(1, 2)}) == 8
    assert (N * counts).weigh({"mac": 1, "add": Fraction(1, 2)}) == 8 * N
    assert counts.weigh({}) == 0


def test_kinds_are_a_closed_list() -> None:
    assert {"mac", "dot", "read", "write"} == {*FIELDS} - {*ELEMENTARY}
    with pytest.raises(TypeError):
        Counts(flops=1)
    with pytest.raises(FrozenInstanceError):
        ZERO.mac = 1
    with pytest.raises(AttributeError):
        ZERO.weigh({"flop": 1})


def test_sums_of_many_are_those_of_one_by_one() -> None:
    """In numbers and in letters, which may also cancel out."""
    n, h = symbol("n"), symbol("h")
    parts = [Counts(mac=3, read=2), Counts(mac=n * h, add=h), Counts(mac=-1 * n * h, add=2)]
    for some in (parts, parts[:1], parts[:2], []):
        assert together(some) == sum(some, ZERO)
    assert together(parts).mac == 3
    assert summed([n, 1, h, -1 * n, -1]) == h
    assert summed([n, 2, -1 * n]) == 2
    assert Counts(mac=n, read=1).moving(h, 4) == Counts(mac=n) + Counts(read=h + 1, write=4)


def test_quotients_that_are_no_whole_numbers_add_up_in_letters() -> None:
    """7/3 in one layer, H/2 in the next: exact until the sum is printed."""
    height = symbol("H")
    total = summed([divide(7, 3), divide(height, 2), height, divide(8, 2)])
    assert total == height * Fraction(3, 2) + Fraction(19, 3)
    assert decimal(dims.at(total, {"H": 3})) == pytest.approx(4.5 + 19 / 3)
    assert (divide(8, 2), decimal(divide(7, 2)), divide(7, height)) == (4, 3.5, 7 // height)


UPSCALED = """
input: "data" input_shape { dim: 1 dim: 5 dim: 8 dim: 8 }
layer { name: "a" type: "Deconvolution" bottom: "data" top: "a"
  convolution_param { num_output: 7 kernel_size: 3 stride: 2 } }
layer { name: "p" type: "Pooling" bottom: "a" top: "p"
  pooling_param { pool: AVE global_pooling: true } }
layer { name: "b" type: "Deconvolution" bottom: "p" top: "b"
  convolution_param { num_output: 3 kernel_size: 3 stride: 2 } }
"""


@pytest.mark.parametrize("name", sorted(plugins.load_all("conventions")))
def test_every_convention_reads_free_sizes_as_it_reads_numbers(tmp_path: Path, name: str) -> None:
    """A transposed convolution of stride 2 behind sizes that are numbers: some tools divide by 4
    what 4 does not divide."""
    network = tmp_path / "upscaled.prototxt"
    network.write_text(UPSCALED)
    free = flopwise.count(network, inputs="Nx5xHxW", convention=name)
    numbers = flopwise.count(network, inputs="2x5x24x32", convention=name)
    found = free.at(N=2, H=24, W=32).value()
    assert found == pytest.approx(numbers.value(), rel=1e-12)
    value = free.value()
    assert decimal(dims.at(value, {"N": 2, "H": 24, "W": 32})) == pytest.approx(numbers.value())
