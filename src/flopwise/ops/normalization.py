"""Normalisations and softmax, written out as the definitions have them."""

from __future__ import annotations

from typing import Any

from flopwise.counts import Counts
from flopwise.dims import Dim, floordiv, prod
from flopwise.errors import ShapeMismatch
from flopwise.graph import Shape, Tensor
from flopwise.ops import op, rule


def standardize(groups: Dim, size: Dim, weight: int, bias: int, centre: int = 1) -> Counts:
    """Mean and variance of `groups` groups of `size` elements, then (x - mean) / std.

    With centre 0 the mean is left out, as root-mean-square normalisation does.
    """
    n = groups * size
    mean = Counts(add=groups * (size - 1) + n, div=groups)
    variance = Counts(mul=n, add=groups * (size - 1) + groups, div=groups, sqrt=groups)
    return centre * mean + variance + Counts(div=n, mul=n * weight, add=n * bias)


@op("batch_norm", "n c *x, mean: c, variance: c, weight?: c, bias?: c -> n c *x")
def batch_norm(n: Dim, c: Dim, x: Shape, weight: int, bias: int) -> Counts:
    """With stored statistics: (x - mean) / sqrt(variance + eps), then weight and bias."""
    size = n * c * prod(x)
    return Counts(add=size + c + size * bias, sqrt=c, div=size, mul=size * weight)


@op("batch_norm_train", "n c *x, weight?: c, bias?: c -> n c *x, c, c, c, c")
def batch_norm_train(n: Dim, c: Dim, x: Shape, weight: int, bias: int) -> Counts:
    """With the statistics of the batch itself, which may be outputs."""
    return standardize(c, n * prod(x), weight, bias)


@op("layer_norm", "*x, weight?: *w, bias?: *w -> *x, *m, *m")
def layer_norm(
    x: Shape, weight: int, bias: int, axes: int = 1, axis: Any = None, over: Any = None
) -> Counts:
    """Over the last `axes` axes, those from `axis` on, or `over` neighbouring elements. Mean
    and deviation may be outputs."""
    first = start(x, axes, axis)
    size = prod(x[first:]) if over is None else over
    return standardize(floordiv(prod(x), size), size, weight, bias)


@rule("axes", "layer_norm")
def layer_weight(x: Shape, axes: int = 1, axis: Any = None, over: Any = None) -> dict[str, Any]:
    """The weight and the bias have the axes that are normalised."""
    first = start(x, axes, axis)
    return {"w": x[first:] if over is None else (over,), "m": (*x[:first], *(1 for _ in x[first:]))}


@op("rms_norm", "*x, weight?: *_ -> *x")
def rms_norm(x: Shape, weight: int, axes: int = 1, axis: Any = None, over: Any = None) -> Counts:
    """x / sqrt(mean(x²) + eps) over the last `axes` axes, those from `axis` on, or `over`
    neighbouring elements, then weight."""
    first = start(x, axes, axis)
    size = prod(x[first:]) if over is None else over
    return standardize(floordiv(prod(x), size), size, weight, 0, centre=0)


rule("axes", "rms_norm")(layer_weight)  # for formats that leave the weight's shape open


def start(x: Shape, axes: int, axis: Any) -> int:
    """The first axis that is normalised."""
    first = len(x) - axes if axis is None else axis
    return first + len(x) if first < 0 else first


@op("group_norm", "n c *x, weight?: *_, bias?: *_ -> n c *x")
def group_norm(n: Dim, c: Dim, x: Shape, weight: int, bias: int, groups: Dim = 1) -> Counts:
    return standardize(n * groups, c * prod(x) // groups, weight, bias)


@op("instance_norm", "n c *x, weight?: c, bias?: c -> n c *x")
def instance_norm(n: Dim, c: Dim, x: Shape, weight: int, bias: int) -> Counts:
    return standardize(n * c, prod(x), weight, bias)


@op("mean_variance_norm")
def mean_variance_norm(
    inputs: tuple[Tensor, ...], axes: Any = (0, 2, 3), variance: bool = True
) -> Counts:
    """(x - mean) / std over some axes, without weights; `variance` False: x - mean alone."""
    shape = inputs[0].sizes
    over = {a % len(shape) for a in axes}
    size = prod(s for i, s in enumerate(shape) if i in over)
    groups = prod(s for i, s in enumerate(shape) if i not in over)
    if variance:
        return standardize(groups, size, 0, 0)
    return Counts(add=groups * (size - 1) + groups * size, div=groups)


@op("scale", "n c *x, weight?: c, bias?: c -> n c *x")
def scale(n: Dim, c: Dim, x: Shape, weight: int, bias: int) -> Counts:
    """A learned factor and offset per channel."""
    size = n * c * prod(x)
    return Counts(mul=size * weight, add=size * bias)


@op("lrn", "n c *x -> n c *x")
def lrn(n: Dim, c: Dim, x: Shape, size: Dim) -> Counts:
    """x / (k + alpha/size · sum of `size` neighbours squared)^beta; AlexNet §3.3.

    Neighbours before the first and after the last count like padding.
    """
    each = n * c * prod(x)
    return each * Counts(mul=3, add=size, log=1, exp=1, div=1)


@op("l2_norm", "*x, weight?: *w -> *x")
def l2_norm(x: Shape, weight: int, axes: tuple[int, ...] | slice = (-1,)) -> Counts:
    """x / sqrt(sum of squares over `axes` + eps), then a weight."""
    size = prod(x)
    groups = size // prod(x[axes] if isinstance(axes, slice) else (x[a] for a in axes))
    return Counts(mul=size + size * weight, add=size, sqrt=groups, div=size)


@rule("axes", "l2_norm")
def l2_weight(x: Shape, shared: bool = False) -> dict[str, Any]:
    """The weight holds one factor per channel, or one in all."""
    return {"w": (1,) if shared or len(x) < 2 else (x[1],)}


@op("softmax", "*x -> *x")
def softmax(x: Shape, axis: int = -1, onward: Any = False) -> Counts:
    """exp(x - max) / sum of the same, along one axis, or along all from it `onward`."""
    size, rows = prod(x), rest(x, axis, onward)
    return Counts(cmp=size - rows, add=size + size - rows, exp=size, div=size)


@op("log_softmax", "*x -> *x")
def log_softmax(x: Shape, axis: int = -1, onward: Any = False) -> Counts:
    """x - max - log(sum(exp(x - max))), along one axis, or along all from it `onward`."""
    size, rows = prod(x), rest(x, axis, onward)
    return Counts(cmp=size - rows, add=3 * size - rows, exp=size, log=rows)


def rest(x: Shape, axis: int, onward: Any) -> Any:
    """The product of the axes that are not summed over."""
    if x and not -len(x) <= axis < len(x) + bool(onward):
        raise ShapeMismatch(f"axis {axis} is out of range for {len(x)} axes")
    axis += len(x) if axis < 0 else 0
    return prod(x[:axis]) if onward else prod(x[:axis]) * prod(x[axis + 1 :])


@op("hardmax")
def hardmax(inputs: tuple[Tensor, ...], axis: int = -1, onward: Any = False) -> Counts:
    """1 for the greatest along an axis, or along all from it `onward`, 0 for the rest."""
    x = inputs[0].sizes
    return Counts(cmp=prod(x) - rest(x, axis, onward))


@rule("shape", "hardmax", "softmax", "log_softmax", "mean_variance_norm")
def same_shape(inputs: tuple[Tensor, ...]) -> list[Shape]:
    return [inputs[0].sizes]
