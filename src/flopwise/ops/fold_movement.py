"""Fold rules of movement: constants taken apart, put together and looked up."""

from __future__ import annotations

from typing import Any

from flopwise import arrays as numpy
from flopwise.dims import Expr, prod
from flopwise.graph import Tensor
from flopwise.ops import arithmetic, indexing, lookup, movement, ordering, rule  # noqa: F401
from flopwise.ops.arithmetic import bounds
from flopwise.ops.folding import LARGEST, Array, Undecided, folds, ints, small

Tensors = tuple[Tensor, ...]


def objects(values: Any) -> Array:
    """Sizes as an array."""
    values = list(values)
    made = numpy.empty(len(values), dtype=object)
    made[:] = values
    return made


def plain_ints(array: Array) -> Array:
    """Places, which must be plain numbers. Raises Undecided."""
    return numpy.array(ints(array), dtype=numpy.int64).reshape(array.shape)


@rule("fold", "shape_of")
def shape_of(inputs: Tensors, start: Any = None, end: Any = None) -> list[Array] | None:
    """Needs the shape alone."""
    return [objects(inputs[0].sizes[start:end])] if inputs[0].known else None


@rule("fold", "size_of")
def size_of(inputs: Tensors) -> list[Array] | None:
    return [objects([prod(inputs[0].sizes)]).reshape(())] if inputs[0].known else None


@rule("fold", "rank_of")
def rank_of(inputs: Tensors) -> list[Array] | None:
    shape = inputs[0].shape
    return None if shape is None else [objects([len(shape)]).reshape(())]


@rule("fold", "constant_of_shape")
def constant_of_shape(outputs: Tensors, fill: Any = None) -> list[Array] | None:
    """`fill` is a number, which is kept where the tensor is small."""
    if not outputs[0].known or not small(outputs) or fill is None or hasattr(fill, "value"):
        return None
    fill = fill.item() if hasattr(fill, "item") else fill
    return [numpy.full(outputs[0].shape, fill, dtype=object)]


@rule("fold", "range")
def range_(
    inputs: Tensors, outputs: Tensors, start: Any = None, limit: Any = None, step: Any = None
) -> list[Array] | None:
    if not outputs[0].known or not small(outputs):
        return None
    start, limit, step = bounds(inputs, start, limit, step)
    count = outputs[0].sizes[0]
    assert isinstance(count, int)
    return [objects(start + i * step for i in range(count))]


@folds("identity", "dropout", "stop_gradient", "copy", "contiguous")
def same(arrays: list[Array]) -> Array:
    return arrays[0]


SHAPED = ("shape", "axis", "axes", "end_axis", "num_axes", "allowzero")


@folds("reshape", "flatten", "flatten_to_matrix", "squeeze", "unsqueeze", shaped=SHAPED)
def reshaped(arrays: list[Array], outputs: Tensors) -> Array:
    """The shape rule has found the shape already."""
    if not outputs[0].known:
        raise Undecided
    return arrays[0].reshape(outputs[0].shape)


@folds("expand", shaped=("shape",))
def expand(arrays: list[Array], outputs: Tensors) -> Array:
    if not outputs[0].known:
        raise Undecided
    return numpy.broadcast_to(arrays[0], outputs[0].sizes)


@folds("transpose")
def transpose(arrays: list[Array], perm: Any = None) -> Array:
    return numpy.transpose(arrays[0], ints(arrays[1]) if perm is None and arrays[1:] else perm)


@folds("tile")
def tile(arrays: list[Array], repeats: Any = None) -> Array:
    return numpy.tile(arrays[0], ints(arrays[1]) if repeats is None else repeats)


@folds("concat")
def concat(arrays: list[Array], axis: int = 1) -> Array:
    return numpy.concatenate(_alike([a for a in arrays if a is not None]), axis)


@folds("stack")
def stack(arrays: list[Array], axis: int = 0) -> Array:
    return numpy.stack(_alike(arrays), axis)


def _alike(arrays: list[Array]) -> list[Array]:
    """numpy would turn ints beside floats into floats; objects stay what they are."""
    return [a.astype(object) for a in arrays]


@folds("split", shaped=("sizes", "points"))
def split(arrays: list[Array], outputs: Tensors, axis: int = 0, squeeze: bool = False) -> Any:
    if not all(t.known for t in outputs):
        raise Undecided
    sizes: list[Any] = [1 if squeeze else t.sizes[axis] for t in outputs]
    points = [sum(sizes[:i]) for i in range(1, len(sizes))]
    parts = numpy.split(arrays[0], points, axis)
    return [numpy.squeeze(p, axis) if squeeze else p for p in parts]


@folds("slice")
def slice_(
    arrays: list[Array], starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None
) -> Array:
    given = [None if a is None else ints(a) for a in arrays[1:]] + [None] * 4
    starts, ends = starts or given[0], ends or given[1]
    axes, steps = axes or given[2] or range(len(starts)), steps or given[3] or [1] * len(starts)
    if any(isinstance(v, Expr) for v in (*starts, *ends)):
        raise Undecided
    cut = [slice(None)] * arrays[0].ndim
    for axis, start, end, step in zip(axes, starts, ends, steps):
        low = -arrays[0].shape[axis]
        cut[axis] = slice(start, None if step < 0 and end < low else end, step)
    return arrays[0][tuple(cut)]


@folds("gather")
def gather(arrays: list[Array], axis: int = 0) -> Array:
    data, places = arrays
    return numpy.take(data, plain_ints(places), axis)


@folds("select")
def select(arrays: list[Array], axis: int = 0, index: Any = None, keep: bool = False) -> Array:
    if index is None:
        raise Undecided
    taken = numpy.take(arrays[0], index, axis)
    return numpy.expand_dims(taken, axis) if keep else taken


@folds("gather_elements")
def gather_elements(arrays: list[Array], axis: int = 0) -> Array:
    return numpy.take_along_axis(arrays[0], plain_ints(arrays[1]), axis)


@folds("gather_nd")
def gather_nd(arrays: list[Array], batch: int = 0) -> Array:
    if batch:
        raise Undecided
    return arrays[0][_tuples(arrays[1])]


def _tuples(places: Array) -> tuple[Array, ...]:
    """Tuples of indices, which lie on the last axis, as numpy wants them."""
    return tuple(numpy.moveaxis(plain_ints(places), -1, 0))


@folds("scatter_nd")
def scatter_nd(arrays: list[Array], reduction: str = "none") -> Array:
    data, places, updates = arrays
    if reduction != "none":
        raise Undecided
    made = data.astype(object)
    made[_tuples(places)] = updates
    return made


@folds("scatter")
def scatter(arrays: list[Array], axis: Any = None, reduction: str = "none") -> Array:
    data, places, updates = arrays
    if reduction != "none" or axis is None:
        raise Undecided
    made = data.astype(object)
    numpy.put_along_axis(made, plain_ints(places), updates.astype(object), axis)
    return made


@folds("nonzero")
def nonzero(arrays: list[Array], rows: bool = False) -> Array:
    made = numpy.array(numpy.nonzero(plain_ints(arrays[0])))
    return made.T if rows else made


@folds("compress")
def compress(arrays: list[Array], axis: Any = None) -> Array:
    return numpy.compress(plain_ints(arrays[1]), arrays[0], axis)


@folds("one_hot")
def one_hot(arrays: list[Array], depth: Any = None, axis: int = -1) -> Array:
    """The places alone, or ONNX's operands: places (negative ones from the end), the depth,
    then what is off and what is on. A place out of range is off everywhere."""
    depth = ints(arrays[1])[0] if depth is None else depth
    if not isinstance(depth, int) or depth * arrays[0].size > LARGEST or len(arrays) not in (1, 3):
        raise Undecided
    off, on = arrays[2].ravel().tolist() if len(arrays) == 3 else (0, 1)
    places = plain_ints(arrays[0])
    if len(arrays) == 3:
        places = numpy.where(places < 0, places + depth, places)
    elif (places < 0).any():
        raise Undecided
    hot = numpy.expand_dims(places, -1) == numpy.arange(depth)
    return numpy.moveaxis(numpy.where(hot, on, off), -1, axis)
