"""Order and selection: sort, top-k, and what depends on the data itself."""

from __future__ import annotations

from typing import Any

from flopwise.counts import Counts
from flopwise.dims import Dim
from flopwise.errors import ShapeMismatch, UnknownValue
from flopwise.graph import Shape, Tensor
from flopwise.ops import constant, op, rule

Tensors = tuple[Tensor, ...]


def merge(length: Dim) -> Counts | None:
    """Sorting by merging: length x ceil(log2 length) comparisons; None for a free length."""
    if not isinstance(length, int):
        return None
    return Counts(cmp=length * max(length - 1, 0).bit_length())


def heap(length: Dim, k: Dim) -> Counts | None:
    """The k greatest by a heap of k: length x ceil(log2 k) comparisons, length - 1 for one."""
    if not isinstance(k, int):
        return merge(length) if k == length else None
    return Counts(cmp=length - 1) if k <= 1 else Counts(cmp=length * (k - 1).bit_length())


@op("sort")
def sort(inputs: Tensors, axis: int = -1) -> Counts | None:
    """length x ceil(log2 length) comparisons along one axis; unknown for a free length."""
    along = inputs[0].sizes[axis]
    once = merge(along)
    return None if once is None else inputs[0].size // along * once


@rule("shape", "sort")
def sort_shape(inputs: Tensors, outputs: Tensors) -> list[Shape]:
    """Values, places, or both: all of the shape of the operand."""
    return [inputs[0].sizes] * len(outputs)


@op("top_k")
def top_k(inputs: Tensors, outputs: Tensors, axis: int = -1) -> Counts | None:
    """length x ceil(log2 k) comparisons along one axis."""
    shape, kept = inputs[0].sizes, outputs[0].sizes[axis]
    once = heap(shape[axis], kept)
    return None if once is None else inputs[0].size // shape[axis] * once


@rule("shape", "top_k")
def top_k_shape(inputs: Tensors, outputs: Tensors, k: Any = None, axis: int = -1) -> list[Shape]:
    """`k` is an attribute or the second operand."""
    shape = list(inputs[0].sizes)
    kept = k if k is not None else constant(inputs, 1)[0]
    length = shape[axis]
    if isinstance(kept, int) and isinstance(length, int) and kept > length:
        raise ShapeMismatch(f"the {kept} largest of {length}")
    shape[axis] = kept
    return [tuple(shape)] * len(outputs)


@op("unique")
def unique(inputs: Tensors) -> Counts | None:
    """A sort, then one comparison of each element with the one before it."""
    order = merge(inputs[0].size)
    return None if order is None else order + Counts(cmp=inputs[0].size - 1)


@op("nonzero", dtype="int64")
def nonzero(inputs: Tensors) -> Counts:
    """One comparison per element."""
    return Counts(cmp=inputs[0].size)


@rule("shape", "nonzero")
def nonzero_shape(inputs: Tensors, most: Any = None, rows: bool = False) -> list[Shape]:
    """[rank, count]; `rows`: [count, rank]. `most` stands for the count, which is data."""
    if most is None:
        raise UnknownValue("how many elements are not zero is data")
    rank = len(inputs[0].sizes)
    return [(most, rank) if rows else (rank, most)]


@rule("shape", "unique")
def unique_shape(
    inputs: Tensors, outputs: Tensors, most: Any = None, axis: Any = None, inverse: Any = None
) -> list[Shape]:
    """As many as `most`, of elements or of slices along an axis; then vectors of as many, but
    the output at the place `inverse`, which finds each old one among them."""
    if most is None:
        raise UnknownValue("how many elements are unlike is data")
    shape = list(inputs[0].sizes)
    whole = inputs[0].size if axis is None else shape[axis]
    if axis is not None:
        shape[axis] = most
    first: Shape = (most,) if axis is None else tuple(shape)
    rest: list[Shape] = [(whole,) if i == inverse else (most,) for i in range(len(outputs))]
    return [first, *rest[1:]]


@op("bincount", dtype="int64")
def bincount(inputs: Tensors, outputs: Tensors) -> Counts:
    """One addition per element."""
    return Counts(add=inputs[0].size)


@rule("shape", "bincount")
def bincount_shape(bins: Dim) -> list[Shape]:
    return [(bins,)]
