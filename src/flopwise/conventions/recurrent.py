"""What counters of PyTorch make of recurrent layers: products, biases, and a price per unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flopwise.conventions import Formula
from flopwise.counts import Counts
from flopwise.dims import prod
from flopwise.graph import Node
from flopwise.ops.recurrent import GATES

RECURRENT = tuple(GATES)
ALL_RECURRENT = (*GATES, *(f"{name}_cell" for name in GATES))


def recurrent(mac: int, row: int = 0, unit: Mapping[str, int] | None = None) -> Formula:
    """`mac` per multiply-accumulate (a projection left out), one per bias, `row` per row of the
    gates' matrices and `unit`, by kind, per hidden unit: at each step of each layer."""

    def formula(
        node: Node, counts: Counts, t: Any = 1, n: Any = 1, h: Any = None, hidden: Any = None,
        layers: int = 1, directions: int = 1, projection: Any = 0, bias: int = 1, biases: int = 2,
    ) -> Any:  # fmt: skip
        kind = node.op.removesuffix("_cell")
        hidden = hidden or h
        times = t * (prod(n) if isinstance(n, tuple) else n) * layers * directions
        rows = GATES[kind] * hidden
        each = (row + bias * biases) * rows + (unit or {}).get(kind, 0) * hidden
        return mac * (counts.mac - times * projection * hidden) + times * each

    return formula
