"""Reductions and pooling: many elements to one."""

from __future__ import annotations

from math import gcd
from typing import Any

from flopwise.counts import Counts
from flopwise.dims import Dim, ceildiv, prod
from flopwise.errors import ShapeMismatch
from flopwise.graph import Shape, Tensor
from flopwise.ops import constant, op, rule
from flopwise.ops.contraction import each, slide


@op("max_pool", "n c *x -> n c *y, n c *y")
def max_pool(n: Dim, c: Dim, y: Shape, k: Any) -> Counts:
    """prod(k) - 1 comparisons per output; a second output holds the places.

    Padding counts as elements, here and below, and so does what a last window of ceil
    mode reaches beyond it: all windows are alike.
    """
    return n * c * prod(y) * Counts(cmp=prod(each(k, len(y))) - 1)


@op("avg_pool", "n c *x -> n c *y")
def avg_pool(n: Dim, c: Dim, y: Shape, k: Any) -> Counts:
    """prod(k) - 1 additions and one division per output; padding counts as elements."""
    return n * c * prod(y) * Counts(add=prod(each(k, len(y))) - 1, div=1)


@op("sum_pool", "n c *x -> n c *y")
def sum_pool(n: Dim, c: Dim, y: Shape, k: Any) -> Counts:
    """prod(k) - 1 additions per output."""
    return n * c * prod(y) * Counts(add=prod(each(k, len(y))) - 1)


@op("lp_pool", "n c *x -> n c *y")
def lp_pool(n: Dim, c: Dim, y: Shape, k: Any, p: float = 2) -> Counts:
    """The p-th root of the sum of |x|^p: squares and a square root for p = 2."""
    return n * c * prod(y) * norm(prod(each(k, len(y))), p)


def norm(size: Dim, p: float) -> Counts:
    """The p-norm of `size` elements; other powers than 1 and 2 are exp(p log |x|)."""
    power, root = Counts(cmp=1, log=1, mul=1, exp=1), Counts(log=1, div=1, exp=1)
    if p in (1, 2):
        power, root = (Counts(cmp=1), Counts()) if p == 1 else (Counts(mul=1), Counts(sqrt=1))
    return size * power + Counts(add=size - 1) + root


@rule("axes", "max_pool", "avg_pool", "sum_pool", "lp_pool")
def pool_windows(
    x: Shape, k: Any, stride: Any = 1, pad: Any = 0, dilation: Any = 1, ceil: Any = False
) -> dict[str, Any]:
    return {"y": slide(x, each(k, len(x)), stride, pad, dilation, ceil)}


@op("global_avg_pool", "n c *x -> n c *_")
def global_avg_pool(n: Dim, c: Dim, x: Shape) -> Counts:
    return n * c * Counts(add=prod(x) - 1, div=1)


@op("global_max_pool", "n c *x -> n c *_")
def global_max_pool(n: Dim, c: Dim, x: Shape) -> Counts:
    return n * c * Counts(cmp=prod(x) - 1)


@op("global_lp_pool", "n c *x -> n c *_")
def global_lp_pool(n: Dim, c: Dim, x: Shape, p: float = 2) -> Counts:
    return n * c * norm(prod(x), p)


@rule("shape", "global_avg_pool", "global_max_pool", "global_lp_pool")
def global_shape(inputs: tuple[Tensor, ...]) -> list[Shape]:
    shape = inputs[0].sizes
    return [(*shape[:2], *(1 for _ in shape[2:]))]


@op("adaptive_avg_pool", "n c *x -> n c *y")
def adaptive_avg_pool(n: Dim, c: Dim, x: Shape, y: Shape) -> Counts:
    outputs = n * c * prod(y)
    return Counts(add=n * c * covered(x, y) - outputs, div=outputs)


@op("adaptive_max_pool", "n c *x -> n c *y")
def adaptive_max_pool(n: Dim, c: Dim, x: Shape, y: Shape) -> Counts:
    return Counts(cmp=n * c * covered(x, y) - n * c * prod(y))


@rule("axes", "adaptive_avg_pool", "adaptive_max_pool")
def adaptive_axes(x: Shape, size: Any) -> dict[str, Any]:
    sizes = each(size, len(x))
    return {"y": tuple(a if s is None else s for a, s in zip(x, sizes))}


MOST = 4096  # windows whose free sizes are added up one by one


def covered(x: Shape, y: Shape) -> Dim:
    """Elements under all windows [floor(i x/y), ceil((i + 1) x/y)): windows may overlap."""
    return prod(_covered(a, b) for a, b in zip(x, y))


def _covered(x: Dim, y: Dim) -> Dim:
    if y == 1 or x == y or (isinstance(x, int) and isinstance(y, int) and x % y == 0):
        return x
    if not isinstance(y, int):
        raise ShapeMismatch(f"adaptive pooling of a free size {x} to a free size {y}")
    if isinstance(x, int):  # each boundary that falls within an element covers it twice
        return x + y - gcd(x, y)
    if y > MOST:
        raise ShapeMismatch(f"adaptive pooling of a free size {x} to {y} windows")
    return sum((ceildiv((i + 1) * x, y) - i * x // y for i in range(y)), 0)


@op("reduce_sum")
def reduce_sum(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Counts:
    """One addition per element but one of each result."""
    return Counts(add=inputs[0].size - outputs[0].size)


@op("reduce_mean")
def reduce_mean(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Counts:
    """The sum, then one division per result."""
    return Counts(add=inputs[0].size - outputs[0].size, div=outputs[0].size)


@op("reduce_max")
@op("reduce_min")
def reduce_max(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Counts:
    """One comparison per element but one of each result; minimum alike."""
    return Counts(cmp=inputs[0].size - outputs[0].size)


@op("reduce_prod")
def reduce_prod(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Counts:
    """One multiplication per element but one of each result."""
    return Counts(mul=inputs[0].size - outputs[0].size)


@op("reduce_l1")
def reduce_l1(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Counts:
    """The sum of absolute values."""
    return Counts(cmp=inputs[0].size, add=inputs[0].size - outputs[0].size)


@op("reduce_l2")
def reduce_l2(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Counts:
    """The square root of the sum of squares."""
    size, results = inputs[0].size, outputs[0].size
    return Counts(mul=size, add=size - results, sqrt=results)


@op("reduce_sum_square")
def reduce_sum_square(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Counts:
    """The sum of squares."""
    return Counts(mul=inputs[0].size, add=inputs[0].size - outputs[0].size)


@op("reduce_log_sum")
def reduce_log_sum(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Counts:
    """The logarithm of the sum."""
    return Counts(add=inputs[0].size - outputs[0].size, log=outputs[0].size)


@op("reduce_log_sum_exp")
def reduce_log_sum_exp(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Counts:
    """The logarithm of the sum of exponentials."""
    size, results = inputs[0].size, outputs[0].size
    return Counts(exp=size, add=size - results, log=results)


@op("reduce_var")
def reduce_var(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Counts:
    """The mean, then the mean of squared differences."""
    size, results = inputs[0].size, outputs[0].size
    return Counts(add=3 * size - 2 * results, mul=size, div=2 * results)


@op("reduce_std")
def reduce_std(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Counts:
    """The square root of the variance."""
    return reduce_var(inputs, outputs) + Counts(sqrt=outputs[0].size)


@op("reduce_any", dtype="bool")
@op("reduce_all", dtype="bool")
def reduce_any(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Counts:
    """Logical or of all; `all` alike."""
    return Counts(bit=inputs[0].size - outputs[0].size)


@op("argmax", dtype="int64")
@op("argmin", dtype="int64")
def argmax(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Counts:
    """One comparison per element but one of each result."""
    return Counts(cmp=inputs[0].size - outputs[0].size)


REDUCTIONS = (
    "reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod", "reduce_l1",
    "reduce_l2", "reduce_sum_square", "reduce_log_sum", "reduce_log_sum_exp", "reduce_var",
    "reduce_std", "reduce_any", "reduce_all", "argmax", "argmin",
)  # fmt: skip


@rule("shape", *REDUCTIONS)
def reduced_shape(
    inputs: tuple[Tensor, ...], axes: Any = None, keep: bool = True, exclude: bool = False,
    none_is_all: bool = False,
) -> list[Shape]:  # fmt: skip
    """`axes` None reduces all; a second operand may hold them, and be empty, which in ONNX
    means all (`none_is_all`). `exclude` keeps just those."""
    shape = inputs[0].sizes
    if axes is None and len(inputs) > 1 and inputs[1] is not None:
        axes = constant(inputs, 1) or (None if none_is_all else [])
    gone = {a % len(shape) for a in axes} if axes is not None and shape else {*range(len(shape))}
    gone = {*range(len(shape))} - gone if exclude else gone
    kept = [1 if i in gone else s for i, s in enumerate(shape) if keep or i not in gone]
    return [tuple(kept)]


@op("cumsum")
def cumsum(inputs: tuple[Tensor, ...], axis: Any = None) -> Counts:
    """One addition per element but the first along the axis (the second operand, unless given)."""
    size, along = inputs[0].size, _along(inputs, axis)
    return Counts(add=size - size // along)


@op("cumprod")
def cumprod(inputs: tuple[Tensor, ...], axis: Any = None) -> Counts:
    """One multiplication per element but the first along the axis."""
    size, along = inputs[0].size, _along(inputs, axis)
    return Counts(mul=size - size // along)


def _along(inputs: tuple[Tensor, ...], axis: Any) -> Dim:
    if axis is None and len(inputs) > 1:
        axis = constant(inputs, 1)[0]
    return inputs[0].sizes[axis or 0] if inputs[0].sizes else 1


@rule("shape", "cumsum", "cumprod")
def running_shape(inputs: tuple[Tensor, ...]) -> list[Shape]:
    return [inputs[0].sizes]
