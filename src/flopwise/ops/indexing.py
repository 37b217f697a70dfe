"""Indexing: elements taken from places and put into places, diagonals, blocks."""

from __future__ import annotations

from typing import Any

from flopwise.counts import ZERO, Counts
from flopwise.dims import Dim, floordiv, minimum, prod
from flopwise.errors import ShapeMismatch, UnknownValue
from flopwise.graph import Shape, Tensor
from flopwise.ops import constant, op, rule
from flopwise.ops.broadcasting import broadcast
from flopwise.ops.contraction import pairs
from flopwise.ops.movement import entered

Tensors = tuple[Tensor, ...]


@entered(False, "gather_elements")
def gather_elements(inputs: Tensors, axis: int = 0) -> list[Shape]:
    """Single elements along one axis, as many as there are indices."""
    return [inputs[1].sizes]


@entered(False, "gather_nd")
def gather_nd(inputs: Tensors, batch: int = 0) -> list[Shape]:
    """Slices at tuples of indices, which lie on the last axis; `batch` axes go along."""
    data, indices = inputs[0].sizes, inputs[1].sizes
    depth = indices[-1]
    if not isinstance(depth, int):
        raise UnknownValue("the length of an index tuple is a free size")
    if batch + depth > len(data):
        raise ShapeMismatch(f"{depth} indices into {len(data) - batch} axes")
    return [(*indices[:-1], *data[batch + depth :])]


@rule("traffic", "gather_elements", "gather_nd")
def taken(inputs: Tensors, outputs: Tensors) -> tuple[Dim, Dim]:
    """Only what is taken is read, and the indices."""
    return outputs[0].bytes + inputs[1].bytes, outputs[0].bytes


@op("scatter")
@op("scatter_nd")
def scatter(inputs: Tensors, reduction: str = "none") -> Counts:
    """Data, indices and updates: elements (or slices, at tuples of indices) put into a copy
    of the data; `reduction` "add", "mul", "max" or "min" combines them with what was there."""
    size = inputs[-1].size
    kinds = {"add": "add", "mul": "mul", "max": "cmp", "min": "cmp", "none": ""}
    if reduction not in kinds:
        raise ShapeMismatch(f"scatter by '{reduction}'; known are {', '.join(kinds)}")
    return Counts(**{kinds[reduction]: size}) if kinds[reduction] else ZERO


@rule("shape", "scatter", "scatter_nd")
def scatter_shape(inputs: Tensors) -> list[Shape]:
    return [inputs[0].sizes]


@entered(False, "reverse_sequence", "permute")
def reordered(inputs: Tensors) -> list[Shape]:
    return [inputs[0].sizes]


@entered(True, "select")
def select(inputs: Tensors, axis: int = 0, keep: bool = False) -> list[Shape]:
    """One position along an axis, which is dropped (or kept as 1)."""
    shape = inputs[0].sizes
    axis %= len(shape)
    return [(*shape[:axis], *((1,) if keep else ()), *shape[axis + 1 :])]


@entered(False, "compress")
def compress(inputs: Tensors, axis: Any = None, most: Any = None) -> list[Shape]:
    """Where a condition holds. `most` stands for how often that is, which is data."""
    shape = inputs[0].sizes
    if most is None:
        most = sum(map(bool, constant(inputs, 1)))
    if axis is None:
        return [(most,)]
    axis %= len(shape)
    return [(*shape[:axis], most, *shape[axis + 1 :])]


@entered(True, "diagonal")
def diagonal(inputs: Tensors, offset: int = 0, axes: Any = (0, 1)) -> list[Shape]:
    """The diagonal of two axes, laid on a new last one."""
    shape = inputs[0].sizes
    if len(shape) < 2:
        raise ShapeMismatch(f"a diagonal of {len(shape)} axes")
    first, second = (a % len(shape) for a in axes)
    rest = tuple(s for i, s in enumerate(shape) if i not in (first, second))
    rows, columns = shape[first] + min(offset, 0), shape[second] - max(offset, 0)
    return [(*rest, minimum(rows, columns))]


@entered(False, "diagonal_embed")
def diagonal_embed(inputs: Tensors, offset: int = 0) -> list[Shape]:
    """The last axis as the diagonal of a square matrix."""
    *rest, size = inputs[0].sizes
    return [(*rest, size + abs(offset), size + abs(offset))]


@entered(True, "swap_axes")
def swap_axes(inputs: Tensors, axes: Any) -> list[Shape]:
    shape = list(inputs[0].sizes)
    a, b = axes
    shape[a], shape[b] = shape[b], shape[a]
    return [tuple(shape)]


@entered(True, "as_strided")
def as_strided(inputs: Tensors, shape: Any) -> list[Shape]:
    """A view of any shape and strides on the same memory."""
    return [tuple(shape)]


@entered(True, "unfold_axis")
def unfold_axis(inputs: Tensors, axis: int, size: Dim, step: Dim) -> list[Shape]:
    """Windows along one axis; a new last axis holds what lies in a window."""
    shape = list(inputs[0].sizes)
    shape[axis] = floordiv(shape[axis] - size, step) + 1
    return [(*shape, size)]


@entered(True, "broadcast_like")
def broadcast_like(inputs: Tensors, axes: Any = None, like_axes: Any = None) -> list[Shape]:
    """To the shape of the second operand; or some axes to those of the other."""
    shape, other = list(inputs[0].sizes), inputs[1].sizes
    if axes is None:
        return [broadcast(tuple(shape), other)]
    for a, b in zip(axes, axes if like_axes is None else like_axes):
        shape[a] = other[b]
    return [tuple(shape)]


@entered(True, "slice_like")
def slice_like(inputs: Tensors, axes: Any = None) -> list[Shape]:
    """The beginning of each axis, of the size that the second operand has there."""
    shape, other = list(inputs[0].sizes), inputs[1].sizes
    for axis in axes or range(len(other)):
        shape[axis] = other[axis]
    return [tuple(shape)]


@entered(False, "space_to_batch")
def space_to_batch(inputs: Tensors, block: Any = None, pads: Any = 0) -> list[Shape]:
    """Blocks of the axes after the first go to the batch; sizes in operands as TensorFlow
    has them, or in attributes."""
    shape = list(inputs[0].sizes)
    block, pads = _blocks(inputs, block, pads)
    for axis, (size, (before, after)) in enumerate(zip(block, pads), 1):
        shape[axis] = floordiv(shape[axis] + before + after, size)
    return [(shape[0] * prod(block), *shape[1:])]


@entered(False, "batch_to_space")
def batch_to_space(inputs: Tensors, block: Any = None, crops: Any = 0) -> list[Shape]:
    """The inverse: batch to blocks, whose edges are cropped."""
    shape = list(inputs[0].sizes)
    block, crops = _blocks(inputs, block, crops)
    for axis, (size, (before, after)) in enumerate(zip(block, crops), 1):
        shape[axis] = shape[axis] * size - before - after
    return [(floordiv(shape[0], prod(block)), *shape[1:])]


def _blocks(inputs: Tensors, block: Any, edges: Any) -> tuple[Any, Any]:
    if block is None:
        block, flat = constant(inputs, 1), constant(inputs, 2)
        return block, list(zip(flat[::2], flat[1::2]))
    block = (block,) if isinstance(block, int) else block
    return block, pairs(edges, len(block))


@op("embedding_bag", "*n, weight: v d -> _ d")
def embedding_bag(inputs: Tensors, outputs: Tensors, n: Shape, d: Dim, mode: str = "sum") -> Counts:
    """Rows of a table looked up and added up per bag (mean: divided; max: compared)."""
    taken = prod(n) * d
    joined = taken - outputs[0].size
    if mode == "max":
        return Counts(cmp=joined)
    return Counts(add=joined, div=outputs[0].size if mode == "mean" else 0)


@rule("shape", "embedding_bag")
def embedding_bag_shape(inputs: Tensors, bags: Any = None, d: Any = None) -> list[Shape]:
    """One bag per row of indices, or `bags` of them."""
    width = inputs[1].sizes[1] if inputs[1].known else d
    return [(inputs[0].sizes[0] if bags is None else bags, width)]


@rule("traffic", "embedding_bag")
def embedding_bag_traffic(inputs: Tensors, outputs: Tensors) -> tuple[Dim, Dim]:
    """Only the rows looked up are read, and the indices."""
    rows = inputs[0].size * floordiv(outputs[0].bytes, outputs[0].sizes[0])
    return inputs[0].bytes + rows, outputs[0].bytes


@entered(False, "center_crop_pad")
def center_crop_pad(inputs: Tensors, axes: Any = None) -> list[Shape]:
    """About the middle, to the sizes that the second operand holds."""
    shape = list(inputs[0].sizes)
    for axis, size in zip(range(len(shape)) if axes is None else axes, constant(inputs, 1)):
        shape[axis] = size
    return [tuple(shape)]


@entered(False, "unblock")
def unblock(inputs: Tensors, channels: Dim, last: bool = False) -> list[Shape]:
    """From blocks of channels, the last of them filled up, to so many channels."""
    n, _, *x = inputs[0].sizes
    return [(n, *x, channels) if last else (n, channels, *x)]
