"""Elements taken, put, ordered and selected, of ai.onnx."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.onnx.native import Native, lowers, same_meaning

same_meaning({"ReverseSequence": "reverse_sequence"})


def number(n: Native, place: int, default: Any = None) -> Any:
    """The value of a scalar operand; the default where it is absent, None where unknown."""
    tensor = n.input(place)
    if tensor is None:
        return default
    return None if tensor.value is None else tensor.value.ravel()[0]


@lowers("Gather")
def gather(n: Native) -> None:
    n.emit("gather", *n.inputs, axis=n.integer("axis"))


@lowers("GatherElements")
def gather_elements(n: Native) -> None:
    n.emit("gather_elements", *n.inputs, axis=n.integer("axis"))


@lowers("GatherND")
def gather_nd(n: Native) -> None:
    n.emit("gather_nd", *n.inputs, batch=n.integer("batch_dims"))


@lowers("Scatter", "ScatterElements")
def scatter(n: Native) -> None:
    n.emit("scatter", *n.inputs, axis=n.integer("axis"), reduction=n.text("reduction", "none"))


@lowers("ScatterND")
def scatter_nd(n: Native) -> None:
    n.emit("scatter_nd", *n.inputs, reduction=n.text("reduction", "none"))


@lowers("TensorScatter")
def tensor_scatter(n: Native) -> None:
    """New tokens written into a cache: data, update, and where to."""
    n.emit("scatter", n.given(0), n.input(2), n.given(1))


@lowers("Compress")
def compress(n: Native) -> None:
    known = n.given(1).value is not None
    most = None if known else n.free()
    n.emit("compress", *n.inputs, axis=n.integer("axis", None), most=most)


@lowers("OneHot")
def one_hot(n: Native) -> None:
    n.emit("one_hot", *n.inputs, axis=n.integer("axis", -1), dtype=n.given(2).dtype or None)


@lowers("TopK")
def top_k(n: Native) -> None:
    attrs = {"k": n.integer("k", None), "axis": n.integer("axis", -1)}
    n.emit("top_k", *n.inputs, dtype=("", "int64"), **attrs)


@lowers("NonZero")
def nonzero(n: Native) -> None:
    n.emit("nonzero", n.given(0), most=n.free())


@lowers("Unique")
def unique(n: Native) -> None:
    """Along an axis, whole slices are compared."""
    dtypes = ("", "int64", "int64", "int64")
    axis, most = n.integer("axis", None), n.free()
    n.emit("unique", n.given(0), dtype=dtypes, axis=axis, inverse=2, most=most)


@lowers("ArgMax", "ArgMin")
def argmax(n: Native) -> None:
    keep = n.integer("keepdims", 1) == 1
    n.emit("argmax", n.given(0), axes=(n.integer("axis"),), keep=keep)


@lowers("NonMaxSuppression")
def non_max_suppression(n: Native) -> None:
    """How many boxes stay is data: the most that may; none unless a number is given."""
    kept = n.input(2)
    n.emit("nms", n.given(0), n.given(1), kept, kept=0 if kept is None else None)


@lowers("Trilu")
def trilu(n: Native) -> None:
    n.emit("triangle", n.given(0))


@lowers("EyeLike")
def eye_like(n: Native) -> None:
    n.emit("eye", n.given(0), dtype=n.dtype())


@lowers("Tile")
def tile(n: Native) -> None:
    """Version 1 named one axis in its third operand."""
    if n.version < 6:
        repeats, axis = number(n, 1), number(n, 2)
        n.emit("repeat_axis", n.given(0), repeats=repeats, axis=axis)
    else:
        n.emit("tile", *n.inputs)


@lowers("DepthToSpace", "SpaceToDepth")
def blocks(n: Native) -> None:
    op = {"DepthToSpace": "depth_to_space", "SpaceToDepth": "space_to_depth"}[n.op]
    n.emit(op, n.given(0), block=n.integer("blocksize"))


@lowers("CenterCropPad")
def center_crop_pad(n: Native) -> None:
    n.emit("center_crop_pad", *n.inputs, axes=n.integers("axes"))
