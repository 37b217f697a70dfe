"""Published ways of reading counts: each a record, with the version and URL it was read from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from flopwise import ops
from flopwise.counts import Counts, divide
from flopwise.dims import Dim, prod
from flopwise.graph import Node, Shape, Tensor
from flopwise.ops.contraction import each

Formula: TypeAlias = Callable[..., Any]


def nothing() -> int:
    """Not counted."""
    return 0


@dataclass(frozen=True)
class Convention:
    """How counts become one number.

    An operator named in `overrides` is counted by that formula, whose parameters are
    those of any formula (axes, operands, attributes) and `counts`; any other operator in
    `ops` (None: every one) by `weights`; the rest by `otherwise`. `per_batch`: the sum is
    divided by the first axis of the first input.
    """

    name: str
    statement: str
    url: str
    version: str
    weights: Mapping[str, Any]
    ops: frozenset[str] | None = None
    overrides: Mapping[str, Formula] = field(default_factory=dict)
    otherwise: Formula = nothing
    per_batch: bool = False
    notes: tuple[str, ...] = ()

    def formula(self, op: str) -> Formula | None:
        """The formula of an operator; None where the weights of its counts tell."""
        if op in self.overrides:
            return self.overrides[op]
        return None if self.ops is None or op in self.ops else self.otherwise

    def read(self, node: Node, counts: Counts) -> Any:
        """The number of one node in this convention."""
        formula = self.formula(node.op)
        if formula is None:
            return counts.weigh(self.weights)
        entry = ops.find(node.op)
        assert entry is not None
        known = {**ops.bind(node, entry), "counts": counts}
        return ops.call(formula, known, node.attrs)


def same(formula: Formula, names: Iterable[str]) -> dict[str, Formula]:
    """One formula for several operators."""
    return dict.fromkeys(names, formula)


def per_input(times: int = 1) -> Formula:
    """A number of operations for each element of the first operand."""

    def formula(inputs: tuple[Tensor, ...]) -> Any:
        return times * inputs[0].size

    return formula


def per_output(times: int = 1) -> Formula:
    """A number of operations for each element of the result."""

    def formula(outputs: tuple[Tensor, ...]) -> Any:
        return times * outputs[0].size

    return formula


def affine(times: int, plain: int) -> Formula:
    """A number of operations per element of a normalisation that has learned factors, and
    another of one that has none."""

    def formula(outputs: tuple[Tensor, ...], weight: int) -> Any:
        return (times if weight else plain) * outputs[0].size

    return formula


def window(n: Dim, c: Dim, y: Shape, k: Any) -> Any:
    """One operation per element under each window."""
    return n * c * prod(y) * prod(each(k, len(y)))


def by_result(n: Dim, c: Dim, f: Dim, y: Shape, g: Dim, k: Shape) -> Any:
    """The rule of a convolution put on a transposed one: stride² too many."""
    return n * f * prod(y) * divide(c * g, f) * prod(k)


def macs(counts: Counts) -> Dim:
    """The multiply-accumulates alone."""
    return counts.mac


def flops(counts: Counts) -> Dim:
    """2 x the multiply-accumulates alone."""
    return 2 * counts.mac


def matrices(times: int) -> Formula:
    """The multiply-accumulates of matrices; a product with a vector is not counted."""

    def formula(counts: Counts, inputs: tuple[Tensor, ...]) -> Any:
        return times * counts.mac if all(len(t.sizes) > 1 for t in inputs[:2]) else 0

    return formula
