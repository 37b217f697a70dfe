"""Look-ups: slices taken at indices, rows of a table, one-hot codes."""

from __future__ import annotations

from typing import Any

from flopwise.counts import ZERO, Counts
from flopwise.dims import Dim
from flopwise.graph import Shape, Tensor
from flopwise.ops import constant, op, rule
from flopwise.ops.movement import entered

Tensors = tuple[Tensor, ...]


@entered(False, "gather")
def gather(inputs: Tensors, axis: int = 0, batch: int = 0) -> list[Shape]:
    """Whole slices taken at indices along one axis; an embedding is one of these. The
    first `batch` axes of data and indices go along with each other."""
    shape, indices = inputs[0].sizes, inputs[1].sizes
    axis %= len(shape) or 1
    return [(*shape[:axis], *indices[batch % (len(indices) or 1) :], *shape[axis + 1 :])]


@rule("traffic", "gather")
def gather_traffic(inputs: Tensors, outputs: Tensors) -> tuple[Dim, Dim]:
    """Only the slices taken are read, and the indices."""
    return outputs[0].bytes + inputs[1].bytes, outputs[0].bytes


@op("embedding", "*n, weight: v d -> *n d")
def embedding() -> Counts:
    """A look-up in a table of v rows: nothing is computed."""
    return ZERO


@rule("axes", "embedding")
def embedding_axes(v: Dim, d: Dim) -> dict[str, Any]:
    return {"v": v, "d": d}


@rule("traffic", "embedding")
def embedding_traffic(inputs: Tensors, outputs: Tensors) -> tuple[Dim, Dim]:
    return outputs[0].bytes + inputs[0].bytes, outputs[0].bytes


@entered(False, "one_hot")
def one_hot(inputs: Tensors, depth: Any = None, axis: int = -1) -> list[Shape]:
    """`depth`, or the value of the second operand, which may be a whole float."""
    depth = constant(inputs, 1)[0] if depth is None else depth
    depth = int(depth) if isinstance(depth, float) else depth
    shape = list(inputs[0].sizes)
    shape.insert(axis if axis >= 0 else axis + len(shape) + 1, depth)
    return [tuple(shape)]
