"""Contractions: sums of products over shared axes. Convolution, matrix product, einsum."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

from flopwise.counts import Counts, dots
from flopwise.dims import Dim, at_least, ceildiv, floordiv, maximum, minimum, prod
from flopwise.errors import ShapeMismatch
from flopwise.graph import Shape, Tensor
from flopwise.ops import op, rule
from flopwise.ops.broadcasting import broadcast
from flopwise.pattern import show


@op("conv", "n c *x, weight: f g *k, bias?: f -> n f *y")
def conv(n: Dim, f: Dim, y: Shape, g: Dim, k: Shape, bias: int) -> Counts:
    """Any number of axes and groups; padded taps are multiplied like any other."""
    outputs = n * f * prod(y)
    return dots(outputs, g * prod(k)) + Counts(add=outputs * bias)


@rule("axes", "conv")
def windows(
    c: Dim, x: Shape, k: Any, f: Any = None, groups: Any = 1, stride: Any = 1, pad: Any = 0,
    dilation: Any = 1, multiplier: Any = None, g: Any = None, m: Any = None,
) -> dict[str, Any]:  # fmt: skip
    """`pad` is a size, a tuple of sizes, of (before, after) pairs, or "same". A `multiplier`
    m makes m filters of each channel alone, in the place of `f` and `groups`. Formats that
    leave it to the shape of the weight say 0, and for the groups "weight"."""
    k = each(k, len(x))
    if multiplier is not None:
        multiplier = multiplier or m
        f, groups = c * multiplier, c
    elif groups == "weight":
        groups = c // g
    if f is None:
        raise ShapeMismatch("'f' is not given and follows from no operand")
    if isinstance(c, int) and isinstance(groups, int) and (groups < 1 or c % groups):
        raise ShapeMismatch(f"{c} input channels do not divide into {groups} groups")
    y = slide(x, k, stride, pad, dilation)
    return {"f": f, "k": k, "g": c // groups, "y": y, "m": multiplier}


@op("conv_transpose", "n c *x, weight: c g *k, bias?: f -> n f *y")
def conv_transpose(
    n: Dim, c: Dim, x: Shape, g: Dim, k: Shape, f: Dim, y: Shape, bias: int,
    stride: Any = 1, dilation: Any = 1,
) -> Counts:  # fmt: skip
    """Every input element meets every tap once: g output channels per group.

    The products that fall on one place are one sum, also on places that padding crops.
    """
    outputs, sums = n * f * prod(y), n * f * prod(reached(x, k, stride, dilation))
    return Counts(mac=n * c * prod(x) * g * prod(k), dot=sums, add=outputs * bias)


def reached(x: Shape, k: Shape, stride: Any, dilation: Any) -> tuple[Any, ...]:
    """Per axis, how many places i stride + j dilation there are, for i < x and j < k.

    Where (i, j) and (i + dilation, j - stride) exist both, they are the same place;
    common factors of stride and dilation aside.
    """
    places: list[Any] = []
    for a, t, s, d in zip(x, k, each(stride, len(x)), each(dilation, len(x))):
        common = gcd(s, d) if isinstance(s, int) and isinstance(d, int) else 1
        places.append(a * t - maximum(a - d // common, 0) * maximum(t - s // common, 0))
    return tuple(places)


@rule("axes", "conv_transpose")
def spread(
    x: Shape, k: Any, f: Any = None, g: Any = None, groups: Dim = 1, stride: Any = 1,
    pad: Any = 0, dilation: Any = 1, output_pad: Any = 0, y: Any = None,
) -> dict[str, Any]:  # fmt: skip
    """y = (x - 1) stride - pads + dilation (k - 1) + 1 + output padding."""
    k, rank = each(k, len(x)), len(x)
    f = g * groups if f is None else f
    axes = zip(x, k, each(stride, rank), each(dilation, rank), each(output_pad, rank))
    if pad == "same":
        y = tuple(a * s for a, s in zip(x, each(stride, rank)))
    elif y is None:
        full = [(a - 1) * s + d * (t - 1) + 1 + o for a, t, s, d, o in axes]
        y = tuple(size - b - e for size, (b, e) in zip(full, pairs(pad, rank)))
        if any(isinstance(size, int) and size < 1 for size in y):
            raise ShapeMismatch(f"a padding of {pad} leaves nothing of {show(tuple(full))}")
    return {"f": f, "k": k, "g": f // groups, "y": tuple(y)}


@op("deform_conv", "n c *x, weight: f g *k, bias?: f -> n f *y")
def deform_conv(
    n: Dim, c: Dim, f: Dim, y: Shape, g: Dim, k: Shape, bias: int, modulated: int = 0
) -> Counts:
    """A convolution over samples that are first interpolated between 2^d neighbours.

    Each sample of a channel is a dot product of 2^d terms; positions and weights of
    the neighbours, once per offset, are small beside it and not counted.
    """
    samples, taps = n * c * prod(y) * prod(k), 2 ** len(y)
    blend = Counts(mul=samples * (taps + modulated), add=samples * (taps - 1))
    return conv(n, f, y, g, k, bias) + blend


rule("axes", "deform_conv")(windows)


@op("linear", "*n i, weight: o i, bias?: o -> *n o")
def linear(n: Shape, i: Dim, o: Dim, bias: int) -> Counts:
    outputs = prod(n) * o
    return dots(outputs, i) + Counts(add=outputs * bias)


@rule("axes", "linear")
def features(o: Dim) -> dict[str, Any]:
    return {"o": o}


@op("bilinear", "*n i, *n j, weight: o i j, bias?: o -> *n o")
def bilinear(n: Shape, i: Dim, j: Dim, o: Dim, bias: int) -> Counts:
    """a W b for each output: the products of all pairs, made once, times a matrix."""
    pairs, outputs = prod(n) * i * j, prod(n) * o
    return Counts(mul=pairs, add=outputs * bias) + dots(outputs, i * j)


@rule("axes", "bilinear")
def bilinear_axes(o: Dim) -> dict[str, Any]:
    return {"o": o}


@op("local_conv", "n c *x, weight: *y f c *k, bias?: f *y -> n f *y")
def local_conv(n: Dim, c: Dim, f: Dim, y: Shape, k: Shape, bias: int) -> Counts:
    """A convolution whose filters are not shared between positions."""
    outputs = n * f * prod(y)
    return dots(outputs, c * prod(k)) + Counts(add=outputs * bias)


@rule("axes", "local_conv")
def local_windows(x: Shape, f: Dim, k: Any, stride: Any = 1, pad: Any = 0) -> dict[str, Any]:
    k = each(k, len(x))
    return {"f": f, "k": k, "y": slide(x, k, stride, pad)}


@op("svdf", "n i, features: r i, time: r m, bias?: u -> n u")
def svdf(n: Dim, i: Dim, r: Dim, m: Dim, u: Dim, bias: int) -> Counts:
    """Filters of low rank over time: r products with the data, each then with its own m
    latest values, `rank` of them added up per unit; Nakkiran et al. 2015, eq. 4."""
    return dots(n * r, i) + dots(n * r, m) + Counts(add=n * (r - u) + n * u * bias)


@rule("axes", "svdf")
def svdf_axes(r: Dim, rank: int = 1) -> dict[str, Any]:
    return {"u": r // rank}


@op("matmul", "*p m k, *q k n -> *b m n | k, *q k n -> *b n | *p m k, k -> *b m | k, k -> *b")
def matmul(k: Dim, b: Shape, m: Dim = 1, n: Dim = 1) -> Counts:
    """Rows by columns, over broadcast batch axes; vectors as numpy has it."""
    return dots(prod(b) * m * n, k)


@rule("axes", "matmul")
def matmul_axes(p: Shape = (), q: Shape = ()) -> dict[str, Any]:
    return {"b": broadcast(p, q)}


@op("einsum")
def einsum(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], equation: str) -> Counts:
    """One product over all axes at once for two operands; left to right for more."""
    terms, result = split_equation(equation, [len(t.sizes) for t in inputs])
    left = axis_sizes(terms[:1], [inputs[0].sizes])
    if len(terms) == 1:
        return Counts(add=prod(left.values()) - prod(left[a] for a in result))
    total = Counts()
    for i, (term, tensor) in enumerate(zip(terms[1:], inputs[1:]), 2):
        needed = {*result, *(a for later in terms[i:] for a in later)}
        sizes = axis_sizes([(*left,), term], [(*left.values(),), tensor.sizes])
        left = {a: size for a, size in sizes.items() if a in needed}
        summed = prod(size for a, size in sizes.items() if a not in needed)
        total += dots(prod(left.values()), summed)
    return total


@rule("shape", "einsum")
def einsum_shape(inputs: tuple[Tensor, ...], equation: str) -> list[Shape]:
    terms, result = split_equation(equation, [len(t.sizes) for t in inputs])
    sizes = axis_sizes(terms, [t.sizes for t in inputs])
    return [tuple(sizes[a] for a in result)]


def split_equation(
    equation: str, ranks: list[int]
) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """The axes of each operand and of the result; an ellipsis becomes numbered axes."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(ranks):
        raise ShapeMismatch(f"einsum '{equation}' has {len(parts)} operands, {len(ranks)} given")
    extra = max((r - len(p) + 3 for p, r in zip(parts, ranks) if "..." in p), default=0)

    def letters(part: str, count: int) -> tuple[str, ...]:
        before, dots_, after = part.partition("...")
        return (
            (*before, *(str(i) for i in range(extra - count, extra)), *after) if dots_ else (*part,)
        )

    terms = [letters(p, r - len(p) + 3) for p, r in zip(parts, ranks)]
    if arrow:
        return terms, letters(right, extra)
    flat = [a for t in terms for a in t if not a.isdigit()]
    implicit = sorted(a for a in set(flat) if flat.count(a) == 1)
    return terms, (*(str(i) for i in range(extra)), *implicit)


def axis_sizes(terms: Sequence[tuple[str, ...]], shapes: Sequence[Shape]) -> dict[str, Dim]:
    """The size of each axis; an axis of size 1 goes with any other."""
    sizes: dict[str, Dim] = {}
    for term, shape in zip(terms, shapes):
        if len(term) != len(shape):
            raise ShapeMismatch(f"einsum term '{''.join(term)}' does not fit {show(shape)}")
        for axis, size in zip(term, shape):
            known = sizes.setdefault(axis, size)
            if (
                isinstance(known, int)
                and isinstance(size, int)
                and known != size
                and 1 not in (known, size)
            ):
                raise ShapeMismatch(f"einsum axis {axis} is both {known} and {size}")
            (sizes[axis],) = broadcast((known,), (size,))
    return sizes


def each(value: Any, rank: int) -> tuple[Dim, ...]:
    """One size per axis; a single one stands for all."""
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            return tuple(value) * rank
        if len(value) != rank:
            raise ShapeMismatch(f"{len(value)} sizes {tuple(value)} for {rank} axes")
        return tuple(value)
    return (value,) * rank


def pairs(pad: Any, rank: int) -> list[tuple[Dim, Dim]]:
    """Padding before and after, per axis."""
    return [p if isinstance(p, tuple) else (p, p) for p in each(pad, rank)]


def slide(
    x: Shape, k: Shape, stride: Any = 1, pad: Any = 0, dilation: Any = 1, ceil: Any = False
) -> Shape:
    """The number of window positions per axis.

    `pad` "same" gives ceil(x / stride). `ceil` lets a last window reach beyond the padded
    axis: "full" always, True only when it begins before the padding after the axis.
    """
    rank = len(x)
    if any(isinstance(size, int) and size < 1 for size in k):
        raise ShapeMismatch(f"a window of {'x'.join(map(str, k))}")
    stride, dilation = each(stride, rank), each(dilation, rank)
    if pad == "same":
        return tuple(ceildiv(a, s) for a, s in zip(x, stride))
    sizes = zip(x, k, stride, dilation, pairs(pad, rank))
    return tuple(positions(a, (t - 1) * d + 1, s, p, ceil) for a, t, s, d, p in sizes)


def positions(x: Dim, window: Dim, stride: Dim, pad: tuple[Dim, Dim], ceil: Any) -> Dim:
    room = x + pad[0] + pad[1] - window
    count = (ceildiv(room, stride) if ceil else floordiv(room, stride)) + 1
    if isinstance(count, int) and count < 1:
        raise ShapeMismatch(f"a window of {window} does not fit an axis of {x} padded by {pad}")
    if ceil in (False, "full") or (pad == (0, 0) and at_least(window, stride)):
        return count
    return minimum(count, (x + pad[0] - 1) // stride + 1)
