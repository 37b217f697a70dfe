"""Operators of ai.onnx that compute nothing: constants, views, copies, indexing."""

from __future__ import annotations

from collections.abc import Callable

from flopwise.errors import UnreadableModel
from flopwise.frontends.onnx.blocked import splits_block
from flopwise.frontends.onnx.native import Native, lowers, same_meaning
from flopwise.frontends.onnx.tensors import DTYPES, constant, sparse
from flopwise.graph import Tensor

same_meaning({
    "Identity": "identity", "Expand": "expand", "Size": "size_of",
    "Range": "range",
})  # fmt: skip


DTYPE_NAMES = {
    "FLOAT": "float32", "DOUBLE": "float64", "FLOAT16": "float16", "BOOL": "bool",
    **{name.upper(): name for name in DTYPES.values() if name[:3] in ("int", "uin")},
}  # fmt: skip


@lowers("Constant")
def constant_node(n: Native) -> None:
    """Values that a node holds count as weights like those of initializers."""
    for name in n.attrs:
        if name in CONSTANTS:
            tensor = CONSTANTS[name](n)
            n.alias(Tensor(n.block.model.unique(n.outputs[0]), tensor.shape, tensor.dtype,
                           tensor.role, value=tensor.value))  # fmt: skip
            return
    raise UnreadableModel("holds no value")


CONSTANTS: dict[str, Callable[[Native], Tensor]] = {
    "value": lambda n: n.tensor("value") or Tensor("", ()),
    "sparse_value": lambda n: sparse(n.block.wire, n.attrs["sparse_value"]["sparse"], ""),
    "value_float": lambda n: constant("", n.real("value_float"), "float32"),
    "value_floats": lambda n: constant("", n.reals("value_floats"), "float32"),
    "value_int": lambda n: constant("", n.integer("value_int"), "int64"),
    "value_ints": lambda n: constant("", n.integers("value_ints"), "int64"),
    "value_string": lambda n: Tensor("", (), "string", "constant"),
    "value_strings": lambda n: Tensor("", (len(n.texts("value_strings")),), "string", "constant"),
}


@lowers("ConstantOfShape")
def constant_of_shape(n: Native) -> None:
    """Zeros of float32 unless a value says otherwise."""
    fill = n.tensor("value")
    dtype = "float32" if fill is None else fill.dtype
    value = 0.0 if fill is None else fill.value.ravel()[0] if fill.value is not None else None
    shape = n.given(0).value
    if dtype.startswith("float") and shape is not None:
        size = 1
        for axis in shape.ravel():
            size *= axis
        n.block.model.generated += size
    n.emit("constant_of_shape", n.given(0), dtype=dtype, fill=value)


@lowers("Cast")
def cast(n: Native) -> None:
    """Version 1 named the type in text."""
    dtype = DTYPE_NAMES.get(n.text("to")) if n.version < 6 else n.dtype("to")
    n.emit("cast", n.given(0), dtype=dtype)


@lowers("CastLike")
def cast_like(n: Native) -> None:
    n.emit("cast", *n.inputs, dtype_like=1)


@lowers("BitCast")
def bit_cast(n: Native) -> None:
    n.emit("identity", n.given(0), dtype=n.dtype("to"))


@lowers("Dropout")
def dropout(n: Native) -> None:
    """A mask, where there is one, tells what is kept."""
    n.emit("dropout", n.given(0), dtype=("", "bool"))


@lowers("Shape")
def shape_of(n: Native) -> None:
    n.emit("shape_of", n.given(0), start=n.integer("start", None), end=n.integer("end", None))


@lowers("Reshape")
def reshape(n: Native) -> None:
    if splits_block(n):
        n.emit("identity", n.given(0))
        return
    zero = bool(n.integer("allowzero"))
    n.emit("reshape", *n.inputs, shape=n.integers("shape"), allowzero=zero)


@lowers("Squeeze", "Unsqueeze")
def squeeze(n: Native) -> None:
    n.emit(n.op.lower(), *n.inputs, axes=n.integers("axes"))


@lowers("Flatten")
def flatten(n: Native) -> None:
    n.emit("flatten_to_matrix", n.given(0), axis=n.integer("axis", 1))


@lowers("Transpose")
def transpose(n: Native) -> None:
    n.emit("transpose", n.given(0), perm=n.integers("perm"))


@lowers("Concat")
def concat(n: Native) -> None:
    n.emit("concat", *n.inputs, axis=n.integer("axis", 1))


@lowers("Split")
def split(n: Native) -> None:
    n.emit("split", *n.inputs, axis=n.integer("axis"), sizes=n.integers("split"))


@lowers("Slice")
def slice_(n: Native) -> None:
    names = ("starts", "ends", "axes")
    starts, ends, axes = map(n.integers, names)
    n.emit("slice", *n.inputs, starts=starts, ends=ends, axes=axes)


@lowers("Pad")
def pad(n: Native) -> None:
    """Version 1 spelled it `paddings`."""
    pads = n.integers("pads") or n.integers("paddings")
    if pads is None:
        n.emit("pad", *n.inputs)
        return
    half = len(pads) // 2
    n.emit("pad", n.given(0), pads=tuple(zip(pads[:half], pads[half:])))
