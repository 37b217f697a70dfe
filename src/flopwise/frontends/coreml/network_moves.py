"""Layers of CoreML's neural networks that compute nothing, and resizing."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.coreml.network_native import Layer, lowers, same_meaning
from flopwise.frontends.slicing import strided

same_meaning({
    "reverse": "reverse", "matrixBandPart": "triangle", "lowerTriangular": "triangle",
    "upperTriangular": "triangle", "fillLike": "constant_like", "reverseSeq": "reverse_sequence",
})  # fmt: skip
END = 2**31 - 1


@lowers("reshape")
def reshape(n: Layer) -> None:
    """Channels, height and width; a fourth size in front is that of the sequence."""
    shape = n.integers("shape")
    n.emit("reshape", n.inputs[0], shape=shape, axis=1 if len(shape) == 3 else 0, rank=4)


@lowers("reshapeStatic", "rankPreservingReshape")
def reshape_static(n: Layer) -> None:
    shape = n.integers("shape")
    n.emit(
        "reshape", n.inputs[0], shape=shape, allowzero=n.kind == "reshapeStatic", rank=len(shape)
    )


@lowers("reshapeDynamic", "broadcastToDynamic")
def by_blob(n: Layer) -> None:
    """The shape is the second blob."""
    op = "reshape" if n.kind == "reshapeDynamic" else "expand"
    n.emit(op, *n.inputs)


@lowers("flatten")
def flatten(n: Layer) -> None:
    """All of an image on the channels."""
    flat = n.emit("flatten", n.inputs[0], part="flatten", axis=-3 if n.rank > 2 else 0)
    n.emit("unsqueeze", flat, axes=[-1, -2], rank=n.rank)


@lowers("flattenTo2D")
def flatten_to_2d(n: Layer) -> None:
    n.emit("flatten_to_matrix", n.inputs[0], axis=n.integer("axis"), rank=2)


@lowers("permute")
def permute(n: Layer) -> None:
    """Of sequence, channels, height and width."""
    axes = n.integers("axes")
    if n.rank == 4 and len(axes) == 4:
        n.emit("transpose", n.inputs[0], perm=axes)
    else:
        n.unknown()


@lowers("transpose")
def transpose(n: Layer) -> None:
    n.emit("transpose", n.inputs[0], perm=n.integers("axes"))


@lowers("concat")
def concat(n: Layer) -> None:
    """Along the channels, or the sequence."""
    axis = 0 if n.integer("sequence") else (-3 if n.rank > 2 else -1)
    n.emit("concat", *n.inputs, axis=axis)


@lowers("concatND")
def concat_nd(n: Layer) -> None:
    n.emit("concat", *n.inputs, axis=n.integer("axis"))


@lowers("stack")
def stack(n: Layer) -> None:
    n.emit("stack", *n.inputs, axis=n.integer("axis"), rank=n.rank + 1)


@lowers("split")
def split(n: Layer) -> None:
    n.emit("split", n.inputs[0], axis=-3 if n.rank > 2 else -1)


@lowers("splitND")
def split_nd(n: Layer) -> None:
    n.emit("split", n.inputs[0], axis=n.integer("axis"), sizes=n.integers("sizes") or None)


@lowers("slice")
def slice_(n: Layer) -> None:
    """Along channels, height or width; a negative end counts from behind, and includes."""
    end = n.integer("end")
    end = END if end == -1 else end + 1 if end < 0 else end
    steps, starts = (n.integer("step", 1) or 1,), (n.integer("start"),)
    axes = (n.integer("axis") - 3,)
    n.emit("slice", n.inputs[0], axes=axes, starts=starts, ends=(end,), steps=steps)


@lowers("sliceStatic")
def slice_static(n: Layer) -> None:
    names = {"begin": "beginMasks", "end": "endMasks", "shrink_axis": "squeeze"}
    masks = {k: n.integers(v) for k, v in names.items()}

    def bit(mask: str, i: int) -> bool:
        bits = masks.get(mask, ())
        return i < len(bits) and bool(bits[i])

    begin, end = n.integers("begin"), n.integers("end")
    strides = n.integers("strides", (1,) * len(begin))
    s = strided(begin, end, strides, bit, n.rank)
    attrs: dict[str, Any] = {"axes": s.axes, "starts": s.starts, "ends": s.ends, "steps": s.steps}
    if not s.dropped:
        n.emit("slice", n.inputs[0], **attrs)
        return
    part = n.emit("slice", n.inputs[0], part="slice", **attrs)
    n.emit("squeeze", part, axes=list(s.dropped), rank=n.rank - len(s.dropped))


def edges(n: Layer) -> list[tuple[int, int]]:
    found = n.p.get("amounts", {}).get("edges", ())
    return [(e.get("start", 0), e.get("end", 0)) for e in found]


@lowers("crop")
def crop(n: Layer) -> None:
    """Amounts at the edges of height and width; or to the size of a second blob."""
    if len(n.inputs) > 1:
        n.emit("slice_like", *n.inputs, axes=[-2, -1])
        return
    sides = edges(n)
    starts, ends = [a for a, _ in sides], [-b or END for _, b in sides]
    n.emit("slice", n.inputs[0], axes=(*range(-len(sides), 0),), starts=starts, ends=ends)


@lowers("padding")
def padding(n: Layer) -> None:
    sides = edges(n)
    n.emit("pad", n.inputs[0], pads=tuple(sides), axes=range(-len(sides), 0))


@lowers("constantPad")
def constant_pad(n: Layer) -> None:
    """Before and after each axis; or up to given sizes."""
    amounts = n.integers("amounts")
    if n.integer("given"):
        n.unknown()
        return
    pads = tuple(zip(amounts[::2], amounts[1::2]))
    n.emit("pad", n.inputs[0], pads=pads, axes=range(-len(pads), 0))


@lowers("upsample")
def upsample(n: Layer) -> None:
    mode, scale = "linear" if n.integer("mode") else "nearest", n.integers("scale", (1, 1))
    n.emit("resize", n.inputs[0], mode=mode, scale=scale, axes=(-2, -1))


@lowers("resizeBilinear")
def resize(n: Layer) -> None:
    n.emit("resize", n.inputs[0], mode="linear", size=n.integers("size", (1, 1)), axes=(-2, -1))


@lowers("reorganizeData")
def reorganize(n: Layer) -> None:
    op = "depth_to_space" if n.integer("mode") else "space_to_depth"
    n.emit(op, n.inputs[0], block=n.integer("block", 1))


@lowers("sequenceRepeat")
def sequence_repeat(n: Layer) -> None:
    n.emit("repeat_axis", n.inputs[0], repeats=n.integer("times", 1), axis=0)


@lowers("tile")
def tile(n: Layer) -> None:
    n.emit("tile", n.inputs[0], repeats=n.integers("repeats"))


@lowers("squeeze")
def squeeze(n: Layer) -> None:
    axes = n.integers("axes")
    if n.integer("all") or not axes:
        n.unknown()  # which axes are one is told by sizes
        return
    n.emit("squeeze", n.inputs[0], axes=list(axes), rank=n.rank - len(axes))


@lowers("expandDims")
def expand_dims(n: Layer) -> None:
    axes = n.integers("axes")
    n.emit("unsqueeze", n.inputs[0], axes=list(axes), rank=n.rank + len(axes))


@lowers("gather")
def gather(n: Layer) -> None:
    n.emit("gather", *n.inputs, axis=n.integer("axis"), rank=sum(n.ranks) - 1)


@lowers("gatherAlongAxis")
def gather_along_axis(n: Layer) -> None:
    n.emit("gather_elements", *n.inputs, axis=n.integer("axis"))


@lowers("gatherND")
def gather_nd(n: Layer) -> None:
    n.emit("gather_nd", *n.inputs)


MODES = ("none", "add", "add", "mul", "mul", "max", "min")


@lowers("scatter", "scatterND", "scatterAlongAxis")
def scatter(n: Layer) -> None:
    op = "scatter_nd" if n.kind == "scatterND" else "scatter"
    n.emit(op, *n.inputs, reduction=MODES[n.integer("mode")])


@lowers("oneHot")
def one_hot(n: Layer) -> None:
    depth, axis = n.integer("depth", 1), n.integer("axis")
    n.emit("one_hot", n.inputs[0], depth=depth, axis=axis, rank=n.rank + 1)


@lowers("getShape")
def get_shape(n: Layer) -> None:
    n.emit("shape_of", n.inputs[0], rank=1)


@lowers("fillStatic")
def fill_static(n: Layer) -> None:
    shape = n.integers("shape")
    n.emit("constant_of_shape", shape=shape, rank=len(shape))


@lowers("fillDynamic")
def fill_dynamic(n: Layer) -> None:
    n.emit("constant_of_shape", n.inputs[0])


@lowers("broadcastToStatic")
def broadcast_to_static(n: Layer) -> None:
    shape = n.integers("shape")
    n.emit("expand", n.inputs[0], shape=shape, rank=len(shape))


@lowers("broadcastToLike")
def broadcast_to_like(n: Layer) -> None:
    n.emit("broadcast_like", *n.inputs, rank=n.ranks[1])


@lowers("randomNormalLike", "randomUniformLike", "randomBernoulliLike")
def random_like(n: Layer) -> None:
    n.emit("random", n.inputs[0], like=0)


@lowers("randomNormalStatic", "randomUniformStatic", "randomBernoulliStatic")
def random_static(n: Layer) -> None:
    shape = n.integers("shape")
    n.emit("random", shape=shape, rank=len(shape))


@lowers("whereNonZero")
def where_nonzero(n: Layer) -> None:
    n.emit("nonzero", n.inputs[0], rows=True, rank=2)
