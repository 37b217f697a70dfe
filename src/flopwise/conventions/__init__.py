"""Published ways of reading counts: each a record, with the version and URL it was read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flopwise import ops
from flopwise.counts import Counts
from flopwise.graph import Node


@dataclass(frozen=True)
class Convention:
    """How counts become one number.

    An operator named in `overrides` is counted by that formula, whose parameters are
    those of any formula (axes, operands, attributes, `counts`); any other operator in
    `ops` (None: every one) by `weights`; the rest count nothing. `per_batch` tools
    divide by, or leave out, the batch.
    """

    name: str
    statement: str
    url: str
    version: str
    weights: Mapping[str, Any]
    ops: frozenset[str] | None = None
    overrides: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def read(self, node: Node, counts: Counts) -> Any:
        """The number of one node in this convention."""
        formula = self.overrides.get(node.op)
        if formula is not None:
            entry = ops.find(node.op)
            assert entry is not None
            known = {**ops.bind(node, entry), "counts": counts}
            return ops.call(formula, known, node.attrs)
        if self.ops is not None and node.op not in self.ops:
            return 0
        return counts.weigh(self.weights)
