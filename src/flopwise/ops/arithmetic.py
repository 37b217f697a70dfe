"""Tensors made from shapes and numbers: sizes of others, ranges, constants, noise."""

from __future__ import annotations

import math
from typing import Any

from flopwise.counts import ZERO, Counts
from flopwise.dims import Dim, Expr, ceildiv, maximum
from flopwise.errors import UnknownValue
from flopwise.graph import Shape, Tensor
from flopwise.ops import constant, op, rule
from flopwise.tally import tally, trig

Tensors = tuple[Tensor, ...]


@op("shape_of", view=True, dtype="int64")
def shape_of() -> Counts:
    """The sizes of a tensor, from axis `start` to `end`: known without a look at it."""
    return ZERO


@rule("shape", "shape_of")
def shape_of_shape(inputs: Tensors, start: Any = None, end: Any = None) -> list[Shape]:
    return [(len(inputs[0].sizes[start:end]),)]


@op("size_of", view=True, dtype="int64")
@op("rank_of", view=True, dtype="int64")
def size_of() -> Counts:
    """The number of elements (of axes) of a tensor."""
    return ZERO


@rule("shape", "size_of", "rank_of")
def scalar_shape() -> list[Shape]:
    return [()]


@op("constant_of_shape")
@op("eye")
def constant_of_shape() -> Counts:
    """One value everywhere, `fill`; eye has ones on a diagonal. Nothing is computed."""
    return ZERO


@op("constant_like")
def constant_like() -> Counts:
    """One value, `fill`, in the shape of the operand."""
    return ZERO


@rule("shape", "constant_like")
def like_shape(inputs: Tensors) -> list[Shape]:
    return [inputs[0].sizes]


@op("random")
def random() -> Counts:
    """Noise of a given shape, or of that of the operand (`like`). It is taken as given, like
    an input: what making it costs is a matter of the generator."""
    return ZERO


@rule("shape", "constant_of_shape", "random")
def given_shape(inputs: Tensors, shape: Any = None, like: Any = None) -> list[Shape]:
    """`shape`, the value of the first operand, or with `like` the shape of that operand."""
    if like is not None:
        return [inputs[like].sizes]
    return [tuple(constant(inputs, 0) if shape is None else shape)]


@rule("shape", "eye")
def eye_shape(
    inputs: Tensors, rows: Any = None, columns: Any = None, batch: Any = ()
) -> list[Shape]:
    """[rows, columns], square unless told; else the shape of the operand (ONNX's EyeLike)."""
    if rows is None:
        return [inputs[0].sizes]
    return [(*batch, rows, rows if columns is None else columns)]


@op("range")
def range_() -> Counts:
    """start, start + step, .. up to limit: nothing but positions."""
    return ZERO


@rule("shape", "range")
def range_shape(
    inputs: Tensors, start: Any = None, limit: Any = None, step: Any = None
) -> list[Shape]:
    """Attributes, or three operands."""
    start, limit, step = bounds(inputs, start, limit, step)
    return [(steps(start, limit, step),)]


def bounds(inputs: Tensors, start: Any, limit: Any, step: Any) -> tuple[Any, Any, Any]:
    """Where a range begins, ends, and its stride; an absent operand is 0, open, 1."""
    if limit is not None:
        return start or 0, limit, 1 if step is None else step
    first, last, stride = (constant(inputs, i)[0] for i in range(3))
    return first, last, stride


def steps(start: Any, limit: Any, step: Any) -> Dim:
    """max(ceil((limit - start) / step), 0)"""
    if any(isinstance(v, Expr) for v in (start, limit, step)):
        if not isinstance(step, int) or step == 0:
            raise UnknownValue("a range with a free step")
        distance = limit - start if step > 0 else start - limit
        return maximum(ceildiv(distance, abs(step)), 0)
    return max(math.ceil((limit - start) / step), 0)


@op("linspace")
def linspace(outputs: Tensors) -> Counts:
    """start + i step."""
    return outputs[0].size * Counts(mul=1, add=1)


@rule("shape", "linspace")
def linspace_shape(inputs: Tensors, steps: Any = None) -> list[Shape]:
    """`steps`, or the third operand."""
    return [(constant(inputs, 2)[0] if steps is None else steps,)]


WINDOWS = {
    "hann_window": lambda i, n: 0.5 - 0.5 * trig(i * 6.28 / n),
    "hamming_window": lambda i, n: 0.54 - 0.46 * trig(i * 6.28 / n),
    "blackman_window": lambda i, n: 0.42 - 0.5 * trig(i * 6.28 / n) + 0.08 * trig(i * 12.57 / n),
}


def _enter(name: str) -> None:
    @op(name)
    def window(outputs: Tensors) -> Counts:
        return outputs[0].size * tally(WINDOWS[name])

    window.__doc__ = f"Per element, {name.replace('_', ' ')} of n: a sum of cosines."


for _name in WINDOWS:
    _enter(_name)


@rule("shape", *WINDOWS)
def window_shape(inputs: Tensors, size: Any = None) -> list[Shape]:
    """`size`, or the value of the operand."""
    return [(constant(inputs, 0)[0] if size is None else size,)]


@op("mel_matrix")
def mel_matrix(outputs: Tensors) -> Counts:
    """Triangles on the mel scale: the smaller of two slopes, not below 0, per element."""
    return outputs[0].size * Counts(add=2, div=2, cmp=2)


@rule("shape", "mel_matrix")
def mel_shape(inputs: Tensors) -> list[Shape]:
    """[length // 2 + 1, bins], of the first two operands."""
    bins, length = constant(inputs, 0)[0], constant(inputs, 1)[0]
    return [(length // 2 + 1, bins)]


@op("multinomial", "n c -> n s")
def multinomial(n: Dim, c: Dim, s: Dim) -> Counts:
    """Classes drawn by unnormalised log-probabilities: their exponentials summed up along
    the row, and per draw a comparison with each sum."""
    return n * Counts(exp=c, add=c - 1) + n * s * Counts(cmp=c, mul=1)


@rule("axes", "multinomial")
def draws(count: Dim) -> dict[str, Any]:
    return {"s": count}
