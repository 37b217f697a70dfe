"""Classical models: trees, support vectors, scaling of features."""

from __future__ import annotations

from typing import Any

from flopwise.counts import Counts, dots
from flopwise.dims import Dim, prod
from flopwise.graph import Shape, Tensor
from flopwise.ops import op, rule

Tensors = tuple[Tensor, ...]


@op("trees", "*n i, thresholds?: *_, leaves?: *_ -> *n o")
def trees(n: Shape, o: Dim, depth: Dim, count: Dim, joined: Any = "sum") -> Counts:
    """Each row goes down `count` trees, one comparison a level, and what the leaves say is
    summed (or compared). `depth` is the sum of the depths of all trees: an upper bound."""
    rows = prod(n)
    total = Counts(cmp=rows * depth)
    if joined in ("min", "max"):
        return total + Counts(cmp=rows * o * (count - 1))
    return total + Counts(add=rows * o * (count - 1), div=rows * o if joined == "mean" else 0)


@rule("axes", "trees")
def targets(size: Dim) -> dict[str, Any]:
    return {"o": size}


@op("kernel", "*n i, vectors: s i -> *n s")
def kernel(n: Shape, i: Dim, s: Dim, kind: str = "linear") -> Counts:
    """How like each row is to each support vector: a dot product x·s ("linear"), its power
    ("poly") or tanh ("sigmoid") after a scale and an offset, or exp(-g |x - s|²) ("rbf")."""
    pairs = prod(n) * s
    if kind == "rbf":
        return pairs * Counts(add=2 * i - 1, mul=i + 1, exp=1)
    more = {
        "linear": Counts(),
        "poly": Counts(mul=2, add=1, log=1, exp=1),
        "sigmoid": Counts(mul=2, add=2, exp=1, div=1),
    }
    return dots(pairs, i) + pairs * more[kind]


@op("vote")
def vote(inputs: Tensors, outputs: Tensors) -> Counts:
    """Of every pair of classes one wins; the class with most wins is taken. Operands are the
    scores of pairs."""
    return Counts(cmp=inputs[0].size, add=inputs[0].size)


@rule("shape", "vote")
def voted(inputs: Tensors, size: Dim) -> list[Shape]:
    return [(*inputs[0].sizes[:-1], size)]


@op("pair_scores", "*n s, coefficients: r s, rho: p -> *n p")
def pair_scores(n: Shape, s: Dim, r: Dim, p: Dim) -> Counts:
    """One machine between each pair of r + 1 classes, a dot product over the vectors of both:
    every vector takes part in r of them."""
    rows = prod(n)
    return Counts(mac=rows * r * s, dot=rows * p, add=rows * p)


@rule("axes", "pair_scores")
def machines(pairs: Dim) -> dict[str, Any]:
    return {"p": pairs}
