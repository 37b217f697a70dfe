"""Solving: systems of linear equations, by substitution."""

from __future__ import annotations

from flopwise.counts import Counts
from flopwise.dims import Dim, prod
from flopwise.graph import Shape, Tensor
from flopwise.ops import op, rule
from flopwise.ops.broadcasting import broadcast


@op("solve_triangular")
def solve_triangular(
    inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], unit: bool = False
) -> Counts:
    """Forward or backward substitution, one right-hand side after another: the i-th unknown
    takes a product with the i - 1 before it, a subtraction and a division (of a `unit`
    diagonal none); Golub and Van Loan, Matrix Computations, algorithm 3.1.1."""
    shape: Shape = outputs[0].sizes
    n: Dim = inputs[0].sizes[-1]
    columns = prod(shape) // n
    rows = columns * (n - 1)  # all but the first of each
    sums = Counts(mac=columns * triangle(n), dot=rows, add=rows)
    return sums if unit else sums + Counts(div=prod(shape))


def triangle(n: Dim) -> Dim:
    """0 + 1 + ... + (n - 1)."""
    return n * (n - 1) // 2


@rule("shape", "solve_triangular")
def solved(inputs: tuple[Tensor, ...]) -> list[Shape]:
    """As the right-hand sides, over broadcast batches."""
    system, known = inputs[0].sizes, inputs[1].sizes
    return [(*broadcast(system[:-2], known[:-2]), *known[-2:])]
