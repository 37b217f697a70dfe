"""Vision: resizing, sampling at positions, pooling of regions, patches."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from flopwise import dims
from flopwise.counts import Counts, dots
from flopwise.dims import Dim, ceildiv, floordiv, prod
from flopwise.errors import ShapeMismatch
from flopwise.graph import Shape, Tensor
from flopwise.ops import constant, op, rule
from flopwise.ops.contraction import each, slide
from flopwise.ops.movement import entered
from flopwise.ops.reduction import covered

Tensors = tuple[Tensor, ...]

TAPS = {"nearest": 1, "linear": 2, "bilinear": 2, "trilinear": 2, "cubic": 4, "bicubic": 4}


def blend(samples: Dim, taps: Dim) -> Counts:
    """`samples` weighted sums of `taps` neighbours; finding the weights, which are the
    same for all channels, is small beside it and not counted."""
    return Counts(mul=samples * taps, add=samples * (taps - 1)) if taps != 1 else Counts()


@op("resize")
def resize(
    inputs: Tensors, outputs: Tensors, mode: str = "nearest", antialias: Any = False
) -> Counts:
    """Nearest neighbours cost nothing; linear blends 2 neighbours and cubic 4 along each
    axis that changes; "area" averages all that a target covers. Antialiasing
    stretches the window by the ratio of sizes where an axis shrinks."""
    x, y = inputs[0].sizes, outputs[0].sizes
    if mode == "area":
        return Counts(add=covered(x, y) - prod(y), div=prod(y))
    if mode not in TAPS:
        raise ShapeMismatch(f"resize by '{mode}'; known are area, {', '.join(TAPS)}")
    taps, stretched = TAPS[mode], antialias and mode != "nearest"
    return blend(outputs[0].size, prod(
        dims.maximum(ceildiv(taps * a, b), taps) if stretched else taps
        for a, b in zip(x, y) if a != b
    ))  # fmt: skip


@rule("shape", "resize")
def resize_shape(
    inputs: Tensors, size: Any = None, scale: Any = None, axes: Any = None, like: Any = None,
    shrink: Any = None, zoom: Any = None, crop: Any = 0, policy: str = "stretch",
) -> list[Shape]:  # fmt: skip
    """To `size`, by `scale` (rounded down), or to the size of another operand (`like`).

    Both are of the `axes`, which are those after the first two unless given. Else the
    operands are those of ONNX: data, region, scales, sizes; `policy` "not_larger" or
    "not_smaller" keeps the aspect ratio. `shrink` and `zoom` follow Caffe's Interp layer:
    x' = (x + crop - 1) // shrink + 1, then x' + (x' - 1) (zoom - 1), where `crop` are its
    pad_beg and pad_end, which are not positive.
    """
    x: list[Dim] = list(inputs[0].sizes)
    interp = shrink is not None or zoom is not None
    if like is not None:
        size = [inputs[int(like)].sizes[a] for a in _spatial(axes, x, None)]
    elif size is None and scale is None and not interp:
        scale = constant(inputs, 2) if _present(inputs, 2) else None
        size = constant(inputs, 3) if scale is None else None
    places = _spatial(axes, x, size if size is not None else scale)
    old = [x[a] for a in places]
    if size is not None:
        new = _fitted(old, each(size, len(places)), policy)
    elif scale is not None:
        new = [scaled(a, s) for a, s in zip(old, each(scale, len(places)))]
    else:
        new = [interpolated(a, shrink or 1, zoom or 1, crop) for a in old]
    for axis, a in zip(places, new):
        if isinstance(a, int) and a < 1 and x[axis] != 0:
            raise ShapeMismatch(f"axis {axis} of size {x[axis]} is resized to {a}")
        x[axis] = a
    return [tuple(x)]


def _present(inputs: Tensors, i: int) -> bool:
    return len(inputs) > i and inputs[i] is not None and inputs[i].shape != (0,)


def _spatial(axes: Any, x: list[Dim], sizes: Any) -> list[int]:
    if axes is not None:
        return [a % len(x) for a in axes]
    whole = isinstance(sizes, (tuple, list)) and len(sizes) == len(x)
    return [*range(len(x))] if whole else [*range(2, len(x))]


def _fitted(old: list[Dim], size: Any, policy: str) -> list[Dim]:
    """The size asked for; None, 0 or -1 leaves an axis as it is."""
    if policy == "stretch":
        return [a if s in (None, 0, -1) else s for a, s in zip(old, size)]
    if not all(isinstance(a, int) for a in (*old, *size)):
        raise ShapeMismatch("keeping an aspect ratio needs sizes that are numbers")
    ratios = [Fraction(s, a) for a, s in zip(old, size)]  # type: ignore[arg-type]
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    return [int(a * ratio + Fraction(1, 2)) for a in old]


def interpolated(size: Dim, shrink: Dim, zoom: Dim, crop: Any) -> Dim:
    """Corners stay where they are: (x - 1) steps between x elements are made fewer or more."""
    before, after = crop if isinstance(crop, tuple) else (crop, crop)
    kept = floordiv(size + before + after - 1, shrink) + 1
    return kept + (kept - 1) * (zoom - 1)


def scaled(size: Dim, by: Any) -> Dim:
    """The floor of size x by; a number is multiplied as a float, as frameworks do."""
    if isinstance(by, int):
        return size * by
    if isinstance(size, int):
        return int(size * by)
    ratio = Fraction(by).limit_denominator(4096)
    return floordiv(size * ratio.numerator, ratio.denominator)


@op("grid_sample", "n c *_, grid: n *y _ -> n c *y")
def grid_sample(n: Dim, c: Dim, y: Shape, mode: str = "linear") -> Counts:
    """Samples at given positions, blended from 2 (linear) or 4 (cubic) neighbours an axis."""
    return blend(n * c * prod(y), TAPS[mode] ** len(y))


@op("affine_grid", "n r _ -> n *y r")
def affine_grid(n: Dim, y: Shape, r: Dim) -> Counts:
    """Each position (x, y, .., 1) of the target times a matrix of r x (r + 1)."""
    return dots(n * prod(y) * r, r + 1)


@rule("axes", "affine_grid")
def affine_axes(inputs: Tensors, size: Any = None) -> dict[str, Any]:
    """`size` of the target, spatial axes alone; or an operand with the full shape."""
    return {"y": tuple(size) if size is not None else tuple(constant(inputs, 1)[2:])}


@op("roi_pool", "n c *x, rois: r _ -> r c *k")
def roi_pool(c: Dim, x: Shape, r: Dim, k: Shape) -> Counts:
    """The greatest element of each of prod(k) bins of a region. The size of regions is
    data: counted as if each covered the whole map, an upper bound."""
    return r * c * Counts(cmp=prod(x) - prod(k))


@op("ps_roi_pool", "n c *x, rois: r _ -> r f *k")
def ps_roi_pool(x: Shape, r: Dim, f: Dim, k: Shape) -> Counts:
    """The mean of each bin, from a map of the bin's own (R-FCN); an upper bound like roi_pool."""
    return r * f * Counts(add=prod(x) - prod(k), div=prod(k))


@op("roi_align", "n c *x, rois: r _, batch?: r -> r c *k")
def roi_align(c: Dim, x: Shape, r: Dim, k: Shape, samples: Dim = 0, mode: str = "mean") -> Counts:
    """`samples` per axis of a bin, each blended from its neighbours, then their mean (or
    max). With 0 a bin is sampled as densely as the map: an upper bound like roi_pool."""
    taken = prod(samples if samples != 0 else ceildiv(a, b) for a, b in zip(x, k))
    outputs = r * c * prod(k)
    pool = Counts(cmp=taken - 1) if mode == "max" else Counts(add=taken - 1, div=1)
    return blend(outputs * taken, 2 ** len(x)) + outputs * pool


@rule("axes", "roi_pool", "ps_roi_pool", "roi_align")
def roi_axes(c: Dim, x: Shape, size: Any, channels: Any = None) -> dict[str, Any]:
    """`size` is the number of bins per axis; each bin has `channels` of its own in
    ps_roi_pool, c / bins unless given."""
    k = each(size, len(x))
    return {"k": k, "f": floordiv(c, prod(k)) if channels is None else channels}


@op("im2col", "n c *x -> n m *y | c *x -> m *y")
def im2col() -> Counts:
    """The patch under each window position as a column: a copy."""
    return Counts()


@op("unfold", "n c *x -> n m p | c h w -> m p")
def unfold() -> Counts:
    """im2col with the positions on one axis (torch.nn.Unfold)."""
    return Counts()


@rule("axes", "im2col", "unfold")
def patches(
    c: Dim, k: Any, x: Shape = (), h: Any = None, w: Any = None, stride: Any = 1, pad: Any = 0,
    dilation: Any = 1,
) -> dict[str, Any]:  # fmt: skip
    x = x or (h, w)
    k = each(k, len(x))
    y = slide(x, k, stride, pad, dilation)
    return {"m": c * prod(k), "y": y, "p": prod(y)}


@op("fold", "n m p -> n c *y")
def fold(n: Dim, m: Dim, p: Dim, c: Dim, y: Shape) -> Counts:
    """col2im: overlapping patches added up; an upper bound where patches are cut off."""
    return Counts(add=n * m * p)


@rule("axes", "fold")
def fold_axes(inputs: Tensors, m: Dim, k: Any = None, size: Any = None) -> dict[str, Any]:
    """Attributes, or ONNX's operands: the size of the image, then of a block."""
    y = tuple(constant(inputs, 1) if size is None else size)
    k = constant(inputs, 2) if k is None else k
    return {"c": m // prod(each(k, len(y))), "y": y}


@op("spp", "n c *x -> n m")
def spp(n: Dim, c: Dim, x: Shape, levels: int, mode: str = "max") -> Counts:
    """Spatial pyramid pooling: 1, 2, 4, .. bins an axis, windows of ceil(x / bins)."""
    total = Counts()
    for level in range(levels):
        window, bins = prod(ceildiv(a, 2**level) for a in x), 2 ** (level * len(x))
        one = Counts(cmp=window - 1) if mode == "max" else Counts(add=window - 1, div=1)
        total += n * c * bins * one
    return total


@rule("axes", "spp")
def spp_axes(c: Dim, x: Shape, levels: int) -> dict[str, Any]:
    return {"m": c * sum(2 ** (level * len(x)) for level in range(levels))}


@entered(False, "max_unpool")
def max_unpool(
    inputs: Tensors, size: Any = None, k: Any = 2, stride: Any = None, pad: Any = 0
) -> list[Shape]:
    """Each element to the place its maximum came from: (x - 1) stride - 2 pad + k, unless a
    `size` or a third operand with the full shape says otherwise."""
    if size is None and len(inputs) > 2 and inputs[2] is not None:
        return [tuple(constant(inputs, 2))]
    n, c, *x = inputs[0].sizes
    k, rank = each(k, len(x)), len(x)
    steps = zip(x, k, each(stride or k, rank), each(pad, rank))
    return [(n, c, *(size or ((a - 1) * s + t - 2 * p for a, t, s, p in steps)))]
