"""TensorFlow operators that compute nothing: movement, sizes, constants, gathering."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.slicing import END, strided
from flopwise.frontends.tensorflow.native import Native, lowers, same_meaning
from flopwise.graph import Tensor

same_meaning({
    "Tile": "tile", "BroadcastTo": "expand", "Transpose": "transpose", "GatherNd": "gather_nd",
    "SpaceToBatchND": "space_to_batch", "BatchToSpaceND": "batch_to_space", "ReverseV2": "reverse",
    "ReverseSequence": "reverse_sequence", "Range": "range", "LinSpace": "linspace",
    "MatrixBandPart": "triangle", "MatrixDiag": "diagonal_embed", "Roll": "roll",
})  # fmt: skip


@lowers("Identity", "StopGradient", "PreventGradient", "CheckNumerics", "Snapshot", "EnsureShape",
        "ReadVariableOp", "IdentityN", "TensorListFromTensor")  # fmt: skip
def identity(n: Native) -> None:
    """The very operands; reading a variable is one of these, and so is a list of rows."""
    n.give(*(n.inputs if n.op == "IdentityN" else n.inputs[:1]))


@lowers("Reshape")
def reshape(n: Native) -> None:
    n.emit("reshape", *n.inputs, allowzero=True)


@lowers("Squeeze")
def squeeze(n: Native) -> None:
    n.emit("squeeze", n.given(0), axes=[*n.integers("squeeze_dims")] or None)


@lowers("ExpandDims")
def expand_dims(n: Native) -> None:
    n.emit("unsqueeze", *n.inputs)


@lowers("ConcatV2", "Concat")
def concat(n: Native) -> None:
    """The axis is the last operand; of old the first."""
    last = n.op == "ConcatV2"
    parts, axis = (n.inputs[:-1], n.values(-1)) if last else (n.inputs[1:], n.values(0))
    if axis is None:
        n.unknown()
    else:
        n.emit("concat", *parts, axis=axis[0])


@lowers("Pack")
def pack(n: Native) -> None:
    made = n.emit("stack", *n.inputs, axis=n.integer("axis"))
    n.block.model.packed[made.name] = tuple(n.inputs)


@lowers("Unpack")
def unpack(n: Native) -> None:
    n.emit("split", n.given(0), axis=n.integer("axis"), squeeze=True, results=n.integer("num"))


@lowers("Split")
def split(n: Native) -> None:
    axis, parts = n.values(0), n.integer("num_split")
    n.emit("split", n.given(1), axis=axis[0], even=True, results=parts) if axis else n.unknown()


@lowers("SplitV")
def split_v(n: Native) -> None:
    """Sizes, of which one may be what is left."""
    axis, parts = n.values(2), n.integer("num_split")
    if axis is None:
        n.unknown()
    else:
        n.emit("split", n.given(0), n.given(1), axis=axis[0], results=parts)


def cut(n: Native, spans: list[tuple[int, Any, Any, int]], last: bool = True) -> Tensor:
    """Slices (axis, start, end, step). Where an end is computed, that axis has its own."""
    fixed = [s for s in spans if not any(isinstance(v, Tensor) for v in s)]
    x, moving = n.given(0), [s for s in spans if s not in fixed]
    if last and not spans:
        n.give(x)
    if fixed:
        axes, starts, ends, steps = zip(*fixed)
        part = "" if last and not moving else "slice"
        x = n.emit("slice", x, part=part, axes=axes, starts=starts, ends=ends, steps=steps)
    for axis, start, end, step in moving:
        part = "" if last and axis == moving[-1][0] else f"slice{axis}"
        places = [_row(n, start, "start"), _row(n, end, "end")]
        x = n.emit("slice", x, *places, part=part, axes=(axis,), steps=(step,))
    return x


def _row(n: Native, value: Any, part: str) -> Tensor:
    """A vector of one number."""
    if isinstance(value, Tensor):
        return n.emit("reshape", value, part=part, shape=(1,))
    return n.constant([value], "int64", part)


@lowers("Slice")
def slice_(n: Native) -> None:
    """Starts and sizes; a size of -1 is all that follows."""
    known = n.values(1) or n.values(2) or n.block.model.packed.get(n.given(1).name)
    if known is None:
        n.unknown()
        return
    starts, sizes = n.elements(1, len(known)), n.elements(2, len(known))
    spans = []
    for axis, (start, size) in enumerate(zip(starts, sizes)):
        end = size if start == 0 else None
        if size == -1:
            end = END
        elif not isinstance(start, Tensor) and not isinstance(size, Tensor):
            end = start + size
        elif end is None:
            a, b = (v if isinstance(v, Tensor) else n.constant(v, "int64", f"{axis}")
                    for v in (start, size))  # fmt: skip
            end = n.emit("add", a, b, part=f"end{axis}")
        spans.append((axis, start, end, 1))
    cut(n, [s for s in spans if s[1:3] != (0, END)])


@lowers("StridedSlice")
def strided_slice(n: Native) -> None:
    """Python's x[...]; masks are numbers whose bits count. What follows an ellipsis has its
    place from the end."""
    steps = n.values(3)
    if steps is None:
        n.unknown()
        return

    def bit(mask: str, i: int) -> bool:
        return bool(n.integer(f"{mask}_mask") >> i & 1)

    begin, end = n.elements(1, len(steps)), n.elements(2, len(steps))
    places = [i for i, b in enumerate(begin) if bit("shrink_axis", i) and isinstance(b, Tensor)]
    begin = [0 if i in places else b for i, b in enumerate(begin)]
    s = strided(begin, end, steps, bit, 0)
    spans = [*zip(s.axes, s.starts, s.ends, s.steps)]
    whole = [a for a in spans if a[1:] != (0, END, 1)]
    if places:
        if len(places) > 1 or len(s.dropped) > 1 or len(whole) > 1 or s.new:
            n.unknown()
        else:
            n.emit("select", n.given(0), axis=s.dropped[0])
        return
    ellipsis = next((i for i in range(len(steps)) if bit("ellipsis", i)), len(steps))
    news = [i for i in range(len(steps)) if bit("new_axis", i) and not bit("ellipsis", i)]
    turn = len(s.dropped) - len(s.new)
    added = [p + turn if i > ellipsis else p for i, p in zip(news, s.new)]
    more = [("squeeze", [*s.dropped])] * bool(s.dropped) + [("unsqueeze", added)] * bool(added)
    x = cut(n, whole, not more)
    for i, (op, axes) in enumerate(more):
        x = n.emit(op, x, part="" if i + 1 == len(more) else op, axes=axes)


@lowers("Pad", "PadV2", "MirrorPad")
def pad(n: Native) -> None:
    """Pairs of edges; computed ones are turned to all befores, then all afters."""
    flat = n.values(1)
    if flat is not None:
        n.emit("pad", n.given(0), pads=tuple(zip(flat[::2], flat[1::2])))
        return
    turned = n.emit("transpose", n.given(1), part="turned", perm=(1, 0))
    n.emit("pad", n.given(0), n.emit("reshape", turned, part="edges", shape=(-1,)))


@lowers("GatherV2", "Gather", "ResourceGather")
def gather(n: Native) -> None:
    """Rows of a learned table are an embedding."""
    axis = n.values(2) if n.op == "GatherV2" else [0]
    table, batch = n.given(0), n.integer("batch_dims")
    if axis is None:
        n.unknown()
    elif table.role == "weight" and len(table.shape or ()) == 2 and axis == [0] and not batch:
        n.emit("embedding", n.given(1), table, dtype=table.dtype)
    else:
        n.emit("gather", table, n.given(1), axis=axis[0], batch=batch or None)


@lowers("Shape", "ShapeN", "Size", "Rank")
def sizes(n: Native) -> None:
    op = {"Size": "size_of", "Rank": "rank_of"}.get(n.op, "shape_of")
    dtype = n.dtype("out_type") or "int32"
    made = [n.emit(op, x, part="" if not i else str(i), dtype=dtype)
            for i, x in enumerate(n.inputs)]  # fmt: skip
    n.give(*made)


@lowers("Fill")
def fill(n: Native) -> None:
    value = n.values(1)
    number = value[0] if value else None
    n.emit("constant_of_shape", n.given(0), fill=number, dtype=n.given(1).dtype)


@lowers("ZerosLike", "OnesLike")
def like(n: Native) -> None:
    n.emit("constant_like", n.given(0), fill=int(n.op == "OnesLike"))


@lowers("Cast", "Bitcast")
def cast(n: Native) -> None:
    """What stays of a type is no work."""
    dtype = n.dtype("DstT" if n.op == "Cast" else "type")
    if dtype == n.given(0).dtype:
        n.give(n.given(0))
    else:
        n.emit("cast" if n.op == "Cast" else "unknown", n.given(0), dtype=dtype)


@lowers("OneHot")
def one_hot(n: Native) -> None:
    n.emit("one_hot", *n.inputs[:2], axis=n.integer("axis", -1), dtype=n.dtype("T"))


@lowers("TopKV2")
def top_k(n: Native) -> None:
    n.emit("top_k", *n.inputs, results=2, dtype=("", n.dtype("index_type") or "int32"))


@lowers("Where")
def where(n: Native) -> None:
    n.emit("nonzero", n.given(0), rows=True)


@lowers("RandomUniform", "RandomStandardNormal", "TruncatedNormal", "StatelessRandomUniformV2",
        "StatelessRandomNormalV2", "StatelessRandomUniform", "StatelessRandomNormal")  # fmt: skip
def random(n: Native) -> None:
    n.emit("random", n.given(0), dtype=n.dtype("dtype") or "float32")


@lowers("DepthToSpace", "SpaceToDepth")
def blocks(n: Native) -> None:
    op = "depth_to_space" if n.op == "DepthToSpace" else "space_to_depth"
    n.emit(op, n.given(0), block=n.integer("block_size"), channels_last=not n.first)


@lowers("ScatterNd")
def scatter_nd(n: Native) -> None:
    """Indices, updates, shape: added up in zeros."""
    dtype = n.given(1).dtype
    start = n.emit("constant_of_shape", n.given(2), part="start", fill=0, dtype=dtype)
    n.emit("scatter_nd", start, *n.inputs[:2], reduction="add", dtype=dtype)


@lowers("BroadcastArgs", "TensorScatterUpdate")
def two(n: Native) -> None:
    """Slices put into a copy; the common shape of two shapes is data to us."""
    n.emit("scatter_nd", *n.inputs) if n.op == "TensorScatterUpdate" else n.unknown()
