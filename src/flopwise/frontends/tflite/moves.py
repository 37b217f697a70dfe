"""TFLite operators that compute nothing: movement, sizes, variables."""

from __future__ import annotations

from flopwise.frontends.lowering import meaning, sliced
from flopwise.frontends.slicing import END, strided
from flopwise.frontends.tflite.native import LOWERINGS, Native, lowers, same_meaning

same_meaning({
    "ZEROS_LIKE": "constant_like", "RANGE": "range", "GATHER_ND": "gather_nd",
    "SPACE_TO_BATCH_ND": "space_to_batch", "BATCH_TO_SPACE_ND": "batch_to_space", "TILE": "tile",
    "REVERSE_V2": "reverse", "REVERSE_SEQUENCE": "reverse_sequence", "SHAPE": "shape_of",
    "RANK": "rank_of", "CAST": "cast", "BITCAST": "cast", "REAL": "copy", "IMAG": "copy",
    "FILL": "constant_of_shape", "MATRIX_DIAG": "diagonal_embed", "MATRIX_SET_DIAG": "copy",
    "DYNAMIC_UPDATE_SLICE": "copy", "RANDOM_UNIFORM": "random",
    "RANDOM_STANDARD_NORMAL": "random", "UNIQUE": "unique", "READ_VARIABLE": "identity",
    "VAR_HANDLE": "constant", "STABLEHLO_CONVERT": "cast",
})  # fmt: skip


@lowers("RESHAPE")
def reshape(n: Native) -> None:
    """The shape is an operand, or in old files an option."""
    shape = n.values(1)
    if shape is None and len(n.inputs) < 2:
        shape = list(n.options["new_shape"])
    if shape is None:
        n.emit("reshape", *n.inputs, allowzero=True)
    else:
        n.emit("reshape", n.given(0), shape=tuple(shape), allowzero=True)


@lowers("TRANSPOSE", "STABLEHLO_TRANSPOSE")
def transpose(n: Native) -> None:
    perm = n.options["permutation"] if n.op != "TRANSPOSE" else n.values(1)
    n.movement("transpose", n.given(0), perm=perm)


@lowers("CONCATENATION", "STABLEHLO_CONCATENATE")
def concat(n: Native) -> None:
    axis = n.option("axis") if n.op == "CONCATENATION" else n.option("dimension")
    n.emit("concat", *n.inputs, axis=axis)


@lowers("SPLIT")
def split(n: Native) -> None:
    axis = n.values(0)
    n.movement("split", n.given(1), axis=axis[0] if axis else None, even=True)


@lowers("SPLIT_V")
def split_v(n: Native) -> None:
    axis, sizes = n.values(2), n.values(1)
    if sizes and axis and -1 in sizes:
        rest = n.stated(0)[axis[0]] - sum(s for s in sizes if s >= 0)
        sizes = [rest if s < 0 else s for s in sizes]
    n.movement("split", n.given(0), axis=axis[0] if axis else None, sizes=sizes)


@lowers("SLICE")
def slice_(n: Native) -> None:
    starts, sizes, ends = n.values(1), n.values(2), None
    if starts is not None and sizes is not None:
        ends = [END if s < 0 else b + s for b, s in zip(starts, sizes)]
    n.movement("slice", n.given(0), starts=starts, ends=ends)


@lowers("STRIDED_SLICE")
def strided_slice(n: Native) -> None:
    """Masks are numbers whose bits count."""
    begin, end, stride = n.values(1), n.values(2), n.values(3)
    if begin is None or end is None or stride is None:
        n.movement("slice", n.given(0), starts=None)
        return
    if n.option("offset"):
        end = [a + b for a, b in zip(begin, end)]

    def bit(mask: str, i: int) -> bool:
        return bool(n.option(f"{mask}_mask") >> i & 1)

    sliced(n, n.given(0), strided(begin, end, stride, bit, len(n.stated(0))))


@lowers("PAD", "PADV2", "MIRROR_PAD")
def pad(n: Native) -> None:
    flat = n.values(1)
    pads = None if flat is None else tuple(zip(flat[::2], flat[1::2]))
    n.movement("pad", n.given(0), pads=pads)


@lowers("DILATE")
def dilate(n: Native) -> None:
    """Holes between elements, of which nothing is computed."""
    n.movement("copy", n.given(0), dilations=None)


@lowers("SQUEEZE")
def squeeze(n: Native) -> None:
    axes = n.options.get("squeeze_dims")
    n.emit("squeeze", n.given(0), axes=list(axes) if axes else None)


@lowers("EXPAND_DIMS")
def expand_dims(n: Native) -> None:
    n.movement("unsqueeze", n.given(0), axes=n.values(1))


@lowers("PACK")
def pack(n: Native) -> None:
    n.emit("stack", *n.inputs, axis=n.option("axis"))


@lowers("UNPACK")
def unpack(n: Native) -> None:
    n.emit("split", n.given(0), axis=n.option("axis"), squeeze=True)


@lowers("GATHER")
def gather(n: Native) -> None:
    n.emit("gather", *n.inputs, axis=n.option("axis"), batch=n.option("batch_dims"))


@lowers("ONE_HOT")
def one_hot(n: Native) -> None:
    depth = n.values(1)
    n.movement("one_hot", n.given(0), depth=depth[0] if depth else None, axis=n.option("axis"))


@lowers("BROADCAST_TO")
def broadcast_to(n: Native) -> None:
    n.emit("expand", *n.inputs)


@lowers("BROADCAST_ARGS")
def broadcast_args(n: Native) -> None:
    """The common shape of two shapes."""
    n.movement("identity", n.given(0), shape=None)


@lowers("SCATTER_ND", "SPARSE_TO_DENSE")
def scatter_nd(n: Native) -> None:
    """Operands: indices, updates, shape (SCATTER_ND); indices, shape, values."""
    shape, values = (2, 1) if n.op == "SCATTER_ND" else (1, 2)
    dtype = n.given(values).dtype
    start = n.emit("constant_of_shape", n.given(shape), part="start", dtype=dtype)
    n.emit("scatter_nd", start, n.given(0), n.given(values))


@lowers("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
def blocks(n: Native) -> None:
    n.emit(n.op.lower(), n.given(0), block=n.option("block_size"), channels_last=True)


@lowers("WHERE")
def where(n: Native) -> None:
    n.emit("nonzero", n.given(0), rows=True)


@lowers("ASSIGN_VARIABLE")
def assign_variable(n: Native) -> None:
    n.emit("copy", n.given(1))


for _name in ("HASHTABLE", "HASHTABLE_IMPORT", "HASHTABLE_SIZE"):
    LOWERINGS[_name] = meaning("constant")
