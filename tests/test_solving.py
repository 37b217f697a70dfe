"""Systems of linear equations against naive substitution on counting numbers."""

from __future__ import annotations

from collections import Counter

import pytest

from flopwise import ops
from flopwise.counts import Counts
from flopwise.graph import Node, Tensor
from flopwise.tally import Number


def substitution(n: int, k: int, unit: bool) -> Counts:
    """Lower triangle, k right-hand sides, every operation written down."""
    ledger: Counter[str] = Counter()
    dots = macs = 0
    for _ in range(k):
        found: list[Number] = []
        for i in range(n):
            unknown = Number(1.0, ledger)
            if i:
                dots, macs = dots + 1, macs + i
                unknown = unknown - sum(x.value for x in found)
            found.append(unknown if unit else unknown / 2.0)
    return Counts(mac=macs, dot=dots, **ledger)


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize(("batch", "n", "k"), [((), 1, 3), ((), 4, 3), ((2, 3), 5, 2)])
def test_solve_triangular(batch: tuple[int, ...], n: int, k: int, unit: bool) -> None:
    system, known = Tensor("a", (*batch, n, n)), Tensor("b", (*batch, n, k))
    node = Node("solve_triangular", (system, known), (known,), {"unit": unit})
    counted = ops.count(node)
    assert counted is not None
    samples = 1
    for size in batch:
        samples *= size
    wanted = samples * substitution(n, k, unit)
    assert counted - Counts(read=counted.read, write=counted.write) == wanted
