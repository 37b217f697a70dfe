"""Movement: operators that compute nothing. Views move no bytes, copies move theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flopwise.counts import ZERO, Counts
from flopwise.dims import Dim, ceildiv, floordiv, maximum, minimum, prod
from flopwise.errors import ShapeMismatch
from flopwise.graph import Shape, Tensor
from flopwise.ops import constant, op, rule
from flopwise.ops.broadcasting import broadcast
from flopwise.ops.contraction import pairs

Tensors = tuple[Tensor, ...]


def costless() -> Counts:
    """Nothing is computed."""
    return ZERO


def entered(view: bool, *names: str) -> Callable[..., Any]:
    """Enter operators that compute nothing, with the decorated shape rule."""
    for name in names:
        op(name, view=view)(costless)
    return rule("shape", *names)


@entered(True, "identity", "dropout", "stop_gradient", "constant")
def same(inputs: Tensors, outputs: Tensors) -> list[Shape]:
    """A second output of dropout says what was kept."""
    return [inputs[0].sizes] * len(outputs)


@entered(False, "copy", "cast", "contiguous", "flip", "roll", "mask", "triangle", "reverse")
def copied(inputs: Tensors) -> list[Shape]:
    return [inputs[0].sizes]


@entered(True, "reshape")
def reshape(
    inputs: Tensors, shape: Any = None, axis: int = 0, num_axes: int = -1, allowzero: bool = False,
    reverse: bool = False,
) -> list[Shape]:  # fmt: skip
    """0 copies the axis and -1 takes what is left; MXNet's codes besides: -2 copies all
    that follow, -3 merges two axes, -4 splits one into the two sizes after it.

    `axis` and `num_axes` confine it to a span, as in Caffe. `reverse` reads the codes
    from the last axis to the first, as MXNet can.
    """
    old: list[Dim] = list(inputs[0].sizes)
    shape = constant(inputs, 1) if shape is None else list(shape)
    if reverse:
        turned = Tensor("", tuple(reversed(old)))
        return [tuple(reversed(reshape((turned,), shape[::-1])[0]))]
    start = axis % (len(old) + 1) if axis < 0 else axis
    stop = len(old) if num_axes == -1 else start + num_axes
    span = old[start:stop]
    new = _copied(shape, span, allowzero)
    whole = prod(span)
    if -1 in new:
        known = prod(d for d in new if d != -1)
        rest = floordiv(whole, known) if known != 0 else 0
        if isinstance(whole, int) and isinstance(known, int) and known and whole % known:
            raise ShapeMismatch(f"{whole} elements do not reshape to {new}")
        new[new.index(-1)] = rest
    elif isinstance(prod(new), int) and prod(new) != whole:
        # Also a free number of elements: numbers alone leave it no freedom.
        raise ShapeMismatch(f"{whole} elements do not reshape to {new}")
    return [(*old[:start], *new, *old[stop:])]


def _copied(shape: list[Any], old: list[Dim], allowzero: bool) -> list[Dim]:
    new: list[Dim] = []
    source, i = 0, 0
    while i < len(shape):
        code = shape[i]
        if code == 0 and not allowzero:
            new.append(old[source])
        elif code == -2:
            new += old[source:]
            source = len(old)
        elif code == -3:
            new.append(old[source] * old[source + 1])
            source += 1
        elif code == -4:
            a, b = shape[i + 1], shape[i + 2]
            new += [old[source] // b if a == -1 else a, old[source] // a if b == -1 else b]
            i += 2
        else:
            new.append(code)
        source, i = source + 1, i + 1
    return new


@entered(True, "flatten")
def flatten(inputs: Tensors, axis: int = 1, end_axis: int = -1) -> list[Shape]:
    shape: Shape = inputs[0].sizes
    start = axis + len(shape) if axis < 0 else axis
    stop = end_axis % len(shape) + 1 if shape else 0
    return [(*shape[:start], prod(shape[start:stop]), *shape[stop:])]


@entered(True, "flatten_to_matrix")
def flatten_to_matrix(inputs: Tensors, axis: int = 1) -> list[Shape]:
    """Two axes: the product before `axis`, the product from it on."""
    shape: Shape = inputs[0].sizes
    start = axis + len(shape) if axis < 0 else axis
    return [(prod(shape[:start]), prod(shape[start:]))]


@entered(True, "squeeze")
def squeeze(inputs: Tensors, axes: Any = None) -> list[Shape]:
    shape: Shape = inputs[0].sizes
    axes = _axes(inputs, axes)
    gone = (
        {i for i, s in enumerate(shape) if s == 1}
        if axes is None
        else {a % len(shape) for a in axes}
    )
    return [tuple(s for i, s in enumerate(shape) if i not in gone)]


@entered(True, "unsqueeze")
def unsqueeze(inputs: Tensors, axes: Any = None) -> list[Shape]:
    shape: list[Dim] = list(inputs[0].sizes)
    axes = _axes(inputs, axes) or []
    for axis in sorted(a % (len(shape) + len(axes)) for a in axes):
        shape.insert(axis, 1)
    return [tuple(shape)]


def _axes(inputs: Tensors, axes: Any) -> Any:
    if axes is None and len(inputs) > 1 and inputs[1] is not None:
        return constant(inputs, 1)
    return [axes] if isinstance(axes, int) else axes


@entered(False, "transpose")
def transpose(inputs: Tensors, perm: Any = None, swap: Any = None) -> list[Shape]:
    """To a new order of the axes (an attribute or the second operand): as they are with two
    swapped, or all turned round."""
    shape: Shape = inputs[0].sizes
    if perm is None and len(inputs) > 1:
        perm = constant(inputs, 1)
    if swap is not None:
        perm = list(range(len(shape)))
        perm[swap[0]], perm[swap[1]] = perm[swap[1]], perm[swap[0]]
    perm = perm if perm is not None else range(len(shape))[::-1]
    if sorted(p % len(shape) for p in perm) != [*range(len(shape))]:
        raise ShapeMismatch(f"{list(perm)} is no order of {len(shape)} axes")
    return [tuple(shape[p] for p in perm)]


@entered(False, "concat")
def concat(inputs: Tensors, axis: int = 1) -> list[Shape]:
    shapes: list[Shape] = [t.sizes for t in inputs if t is not None]
    if len({len(s) for s in shapes}) > 1:
        raise ShapeMismatch("concatenated operands differ in rank")
    axis %= len(shapes[0]) or 1
    for i, sizes in enumerate(zip(*shapes)):
        numbers = {s for s in sizes if isinstance(s, int)}
        if i != axis and len(numbers) > 1:
            raise ShapeMismatch(
                f"axis {i} of concatenated operands is both {min(numbers)} and {max(numbers)}"
            )
    whole = sum((s[axis] for s in shapes), 0)
    return [(*shapes[0][:axis], whole, *shapes[0][axis + 1 :])]


@entered(False, "stack")
def stack(inputs: Tensors, axis: int = 0) -> list[Shape]:
    shape: list[Dim] = list(inputs[0].sizes)
    shape.insert(axis if axis >= 0 else axis + len(shape) + 1, len(inputs))
    return [tuple(shape)]


@entered(True, "split")
def split(
    inputs: Tensors, outputs: Tensors, axis: int = 0, sizes: Any = None, points: Any = None,
    squeeze: bool = False, ratio: Any = None, even: bool = False,
) -> list[Shape]:  # fmt: skip
    """Into given `sizes` (of which -1 takes what is left), at given `points`, in a given
    `ratio`, or into equal parts (the last may be smaller, unless `even`)."""
    shape: Shape = inputs[0].sizes
    whole, parts = shape[axis], len(outputs)
    if sizes is None and len(inputs) > 1 and inputs[1] is not None:
        sizes = constant(inputs, 1)
    if ratio is not None:
        sizes = [floordiv(whole * part, sum(ratio)) for part in ratio]
    if points is not None:
        ends = [*points, whole]
        sizes = [b - a for a, b in zip([0, *ends], ends)]
    told = sizes or f"{parts} parts"
    if sizes is None:
        step = ceildiv(whole, parts)
        sizes = [step] * (parts - 1) + [whole - step * (parts - 1)]
    if -1 in sizes:
        left = whole - sum((s for s in sizes if s != -1), 0)
        sizes = [left if s == -1 else s for s in sizes]
    total, numbers = sum(sizes, 0), [s for s in sizes if isinstance(s, int)]
    misfit = isinstance(total, int) and isinstance(whole, int) and total != whole
    if misfit or any(s < 0 or (squeeze and s != 1) or (even and s != sizes[0]) for s in numbers):
        raise ShapeMismatch(f"axis {axis} of size {whole} does not split into {told}")
    middle = [() if squeeze else (s,) for s in sizes]
    axis %= len(shape)
    return [(*shape[:axis], *m, *shape[axis + 1 :]) for m in middle]


@entered(True, "slice")
def slice_(
    inputs: Tensors, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None
) -> list[Shape]:
    """Python's slices along some axes; operands may hold starts, ends, axes and steps."""
    shape: list[Dim] = list(inputs[0].sizes)
    given: list[Any] = [t and constant(inputs, i) for i, t in enumerate(inputs) if i]
    given += [None] * (4 - len(given))
    starts, ends = starts or given[0], ends or given[1]
    axes, steps = axes or given[2] or range(len(starts)), steps or given[3] or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps):
        shape[axis] = span(shape[axis], start, end, step)
    return [tuple(shape)]


def span(size: Dim, start: Dim, end: Dim, step: int = 1) -> Dim:
    """The number of elements that size[start:end:step] takes."""
    if step < 0:
        if isinstance(size, int) and isinstance(start, int) and isinstance(end, int):
            return len(range(size)[start : None if end < -size else end : step])
        return ceildiv(size, -step)
    low, high = _clamp(start, size), _clamp(end, size)
    return ceildiv(maximum(high - low, 0), step)


def _clamp(place: Dim, size: Dim) -> Dim:
    if isinstance(place, int) and place >= 2**31 - 1:
        return size
    if isinstance(place, int) and place < 0:
        return maximum(size + place, 0)
    if not isinstance(place, int) and all(c < 0 for c in place.terms.values()):
        return maximum(size + place, 0)
    return minimum(place, size)


@entered(True, "crop")
def crop(inputs: Tensors, axis: int = 2, size: Any = None) -> list[Shape]:
    """To the size of the second operand from `axis` on, or to given sizes."""
    shape: Shape = inputs[0].sizes
    target = tuple(size) if size is not None else inputs[1].sizes[axis:]
    for i, (whole, part) in enumerate(zip(shape[axis:], target)):
        if isinstance(whole, int) and isinstance(part, int) and part > whole:
            raise ShapeMismatch(f"axis {axis + i} of size {whole} cannot be cropped to {part}")
    return [(*shape[:axis], *target)]


@entered(False, "pad")
def pad(inputs: Tensors, pads: Any = None, axes: Any = None) -> list[Shape]:
    """(before, after) per axis; a second operand may hold all befores, then all afters."""
    shape: list[Dim] = list(inputs[0].sizes)
    if pads is None:
        flat = constant(inputs, 1)
        pads = list(zip(flat[: len(flat) // 2], flat[len(flat) // 2 :]))
        if len(inputs) > 3 and inputs[3] is not None:
            axes = constant(inputs, 3)
    axes = range(len(shape)) if axes is None else axes
    for axis, (before, after) in zip(axes, pairs(pads, len(axes))):
        shape[axis] = shape[axis] + before + after
    return [tuple(shape)]


@entered(True, "expand")
def expand(inputs: Tensors, shape: Any = None) -> list[Shape]:
    """Broadcast with a shape; -1 keeps the axis."""
    wanted = tuple(constant(inputs, 1)) if shape is None else tuple(shape)
    old: Shape = inputs[0].sizes
    aligned = (1,) * (len(wanted) - len(old)) + old
    kept = tuple(o if w == -1 else w for w, o in zip(wanted, aligned[-len(wanted) :]))
    return [broadcast(old, kept)]


@entered(False, "tile")
def tile(inputs: Tensors, repeats: Any = None) -> list[Shape]:
    repeats = constant(inputs, 1) if repeats is None else list(repeats)
    shape = inputs[0].sizes
    rank = max(len(shape), len(repeats))
    sizes, times = (1,) * (rank - len(shape)) + shape, [1] * (rank - len(repeats)) + repeats
    return [tuple(s * r for s, r in zip(sizes, times))]


@entered(False, "repeat_axis")
def repeat_axis(inputs: Tensors, repeats: Dim, axis: int) -> list[Shape]:
    shape = list(inputs[0].sizes)
    shape[axis] = shape[axis] * repeats
    return [tuple(shape)]
