"""Layers of OpenVINO that compute nothing: movement, sizes, constants, state."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.lowering import sliced
from flopwise.frontends.openvino.native import Native, lowers, same_meaning
from flopwise.frontends.slicing import strided

same_meaning({
    "ShapeOf": "shape_of", "Range": "range", "Tile": "tile", "Squeeze": "squeeze",
    "Unsqueeze": "unsqueeze", "ReverseSequence": "reverse_sequence", "RandomUniform": "random",
    "ConvertPromoteTypes": "cast",
})  # fmt: skip
same_meaning({
    "Convert": "cast", "ConvertLike": "cast", "Identity": "identity", "Roll": "roll",
    "Reverse": "reverse", "Assign": "copy", "ReadValue": "identity", "GatherTree": "copy",
}, 1)  # fmt: skip


@lowers("Reshape")
def reshape(n: Native) -> None:
    n.emit("reshape", *n.inputs, allowzero=not n.flag("special_zero"))


@lowers("Transpose")
def transpose(n: Native) -> None:
    """An empty order turns all axes around."""
    order = n.values(1)
    if order is None and len(n.inputs) > 1 and n.stated(1) == (0,):
        n.emit("transpose", n.given(0))
    else:
        n.movement("transpose", n.given(0), perm=order)


@lowers("Concat")
def concat(n: Native) -> None:
    n.emit("concat", *n.inputs, axis=n.integer("axis"))


@lowers("Split")
def split(n: Native) -> None:
    axis = n.values(1)
    n.movement("split", n.given(0), axis=axis[0] if axis else None, even=True)


@lowers("VariadicSplit")
def variadic_split(n: Native) -> None:
    """One length may be left to be worked out."""
    axis, lengths = n.values(1), n.values(2)
    if axis and lengths and -1 in lengths:
        if lengths.index(-1) == len(lengths) - 1:
            points = [sum(lengths[: i + 1]) for i in range(len(lengths) - 1)]
            n.emit("split", n.given(0), axis=axis[0], points=points)
            return
        rest = n.stated(0)[axis[0]] - sum(v for v in lengths if v >= 0)
        lengths = None if n.stated(0)[axis[0]] < 0 else [rest if v < 0 else v for v in lengths]
    n.movement("split", n.given(0), axis=axis[0] if axis else None, sizes=lengths)


@lowers("Slice")
def slice_(n: Native) -> None:
    """Operands: data, start, stop, step, axes."""
    start, stop, step, axes = (n.input(i) for i in (1, 2, 3, 4))
    n.emit("slice", n.given(0), start, stop, axes, step)


@lowers("StridedSlice")
def strided_slice(n: Native) -> None:
    """Masks are lists of bits."""
    begin, end = n.values(1), n.values(2)
    stride = n.values(3) if len(n.inputs) > 3 else [1] * len(begin or ())
    if begin is None or end is None or stride is None:
        n.movement("slice", n.given(0), starts=None)
        return
    names = ("begin", "end", "new_axis", "shrink_axis", "ellipsis")
    masks = {m: n.integers(f"{m}_mask") for m in names}

    def bit(mask: str, i: int) -> bool:
        return i < len(masks[mask]) and bool(masks[mask][i])

    sliced(n, n.given(0), strided(begin, end, stride, bit, len(n.stated(0))))


@lowers("Pad")
def pad(n: Native) -> None:
    before, after = n.values(1), n.values(2)
    pads = tuple(zip(before, after)) if before is not None and after is not None else None
    n.movement("pad", n.given(0), pads=pads)


@lowers("Broadcast")
def broadcast(n: Native) -> None:
    """Explicitly: the axes of the data lie at some axes of the result, the others are new."""
    mapping = n.values(2)
    if n.text("mode", "numpy").lower() != "explicit":
        n.emit("expand", *n.inputs[:2])
    elif mapping is None or n.stated(1)[0] < 0:
        n.movement("expand", n.given(0), shape=None)
    else:
        new = [a for a in range(n.stated(1)[0]) if a not in mapping]
        x = n.emit("unsqueeze", n.given(0), part="axes", axes=new) if new else n.given(0)
        n.emit("expand", x, n.given(1))


@lowers("Gather")
def gather(n: Native) -> None:
    axis, batch = n.values(2), n.integer("batch_dims")
    n.movement("gather", *n.inputs[:2], axis=axis[0] if axis else None, batch=batch)


@lowers("GatherElements")
def gather_elements(n: Native) -> None:
    n.emit("gather_elements", *n.inputs, axis=n.integer("axis"))


@lowers("GatherND")
def gather_nd(n: Native) -> None:
    n.emit("gather_nd", *n.inputs, batch=n.integer("batch_dims"))


@lowers("ScatterUpdate", "ScatterElementsUpdate", "ScatterNDUpdate")
def scatter(n: Native) -> None:
    """Replaced, or combined with what was there."""
    kind = n.text("reduction", "none").lower()
    kind = {"sum": "add", "prod": "mul", "mean": "add"}.get(kind, kind)
    op = "scatter_nd" if n.kind == "ScatterNDUpdate" else "scatter"
    n.emit(op, *n.inputs[:3], reduction=kind)


@lowers("OneHot")
def one_hot(n: Native) -> None:
    depth = n.values(1)
    n.movement("one_hot", n.given(0), depth=depth[0] if depth else None, axis=n.integer("axis", -1))


@lowers("TopK")
def top_k(n: Native) -> None:
    k = n.values(1)
    n.emit("top_k", *n.inputs, axis=n.integer("axis"), k=k[0] if k else None)


@lowers("NonZero")
def nonzero(n: Native) -> None:
    n.emit("nonzero", n.given(0))


@lowers("Unique")
def unique(n: Native) -> None:
    n.emit("unique", n.given(0))


@lowers("DepthToSpace", "SpaceToDepth")
def blocks(n: Native) -> None:
    op = "depth_to_space" if n.kind == "DepthToSpace" else "space_to_depth"
    n.emit(op, n.given(0), block=n.integer("block_size", 1))


@lowers("ReorgYolo")
def reorg(n: Native) -> None:
    n.emit("space_to_depth", n.given(0), block=n.integers("stride")[0])


@lowers("ShuffleChannels")
def shuffle_channels(n: Native) -> None:
    n.emit("channel_shuffle", n.given(0), groups=n.integer("group", 1))


@lowers("SpaceToBatch", "BatchToSpace")
def batches(n: Native) -> None:
    """Blocks and edges of all axes, of which the batch has none."""
    sides = [n.values(i) for i in (1, 2, 3)]
    edges = "pads" if n.kind == "SpaceToBatch" else "crops"
    op = "space_to_batch" if n.kind == "SpaceToBatch" else "batch_to_space"
    block, begin, end = (None if s is None else s[1:] for s in sides)
    if block is None or begin is None or end is None:
        n.movement(op, n.given(0), block=None)
    else:
        attrs: dict[str, Any] = {"block": tuple(block), edges: tuple(zip(begin, end))}
        n.emit(op, n.given(0), **attrs)


@lowers("Eye")
def eye(n: Native) -> None:
    rows, columns, batch = n.values(0), n.values(1), n.values(3) if len(n.inputs) > 3 else []
    size = {"rows": rows[0] if rows else None, "columns": columns[0] if columns else None}
    n.movement("eye", n.given(0), **size, batch=None if batch is None else tuple(batch))
