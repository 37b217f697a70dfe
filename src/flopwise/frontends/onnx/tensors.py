"""Stored tensors by their headers, and types. Weight bytes are not read.

Small constants are: shape arithmetic needs integers, and Resize a few floats.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from flopwise import arrays as numpy
from flopwise.dims import Dim, symbol
from flopwise.errors import UnreadableModel
from flopwise.frontends.wire import Message, Span, Wire
from flopwise.graph import BITS, Tensor
from flopwise.sizes import LARGEST, parse_name

LARGEST_INTS, LARGEST_FLOATS = 4096, 16  # elements of constants that are worth reading
LARGEST_TENSOR = 2**48  # a petabyte of floats; more is a lie

DTYPES = dict(enumerate((
    "", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool",
    "float16", "float64", "uint32", "uint64", "complex64", "complex128", "bfloat16", "float8",
    "float8", "float8", "float8", "uint4", "int4", "float4", "float8", "uint2", "int2", "float6",
    "float6",
)))  # fmt: skip

RAW = {
    "float32": "<f4", "uint8": "u1", "int8": "i1", "uint16": "<u2", "int16": "<i2", "int32": "<i4",
    "int64": "<i8", "bool": "?", "float16": "<f2", "float64": "<f8", "uint32": "<u4",
    "uint64": "<u8",
}  # fmt: skip
_FIXED = {"float_data": ("<f4", 4), "double_data": ("<f8", 8)}
_VARINTS = ("int32_data", "int64_data", "uint64_data")


def dtype_of(code: int) -> str:
    """Our name of a TensorProto.DataType. Raises UnreadableModel."""
    if code not in DTYPES:
        raise UnreadableModel(f"no tensor has data type {code}")
    return DTYPES[code]


def stored(wire: Wire, message: Message, name: str) -> Tensor:
    """A TensorProto: floats are weights, all else constants. Raises UnreadableModel."""
    dtype = dtype_of(message.get("dtype", 0))
    shape = tuple(message.get("dims", ()))
    size = 1
    for axis in shape:
        size *= axis
        if axis < 0 or size > LARGEST_TENSOR:
            raise UnreadableModel(f"'{name}' claims the shape {list(shape)}")
    role = "weight" if is_float(dtype) else "constant"
    value = None
    if not message.get("location"):
        _check(message, name, size, dtype)
        if size <= (LARGEST_FLOATS if role == "weight" else LARGEST_INTS):
            value = _value(wire, message, shape, size, dtype)
    return Tensor(name, shape, dtype, role, value=value)


def sparse(wire: Wire, message: Message, name: str) -> Tensor:
    """A SparseTensorProto, by its logical shape."""
    values = stored(wire, message.get("values", {}), name)
    return Tensor(name, tuple(message.get("dims", ())), values.dtype, values.role)


def is_float(dtype: str) -> bool:
    """Whether elements of this type are what training learns."""
    return "float" in dtype or dtype.startswith("complex")


def constant(name: str, value: Any, dtype: str) -> Tensor:
    """A tensor of given numbers."""
    array = numpy.array(value, dtype=object)
    role = "weight" if is_float(dtype) else "constant"
    small = array.size <= (LARGEST_FLOATS if role == "weight" else LARGEST_INTS)
    return Tensor(name, array.shape, dtype, role, value=array if small else None)


def _check(message: Message, name: str, size: int, dtype: str) -> None:
    """Data that is there must be of the length that the shape claims."""
    raw = sum(b - a for a, b in message.get("raw_data", ()))
    if raw and dtype != "string" and raw != -(-size * BITS[dtype] // 8):
        raise UnreadableModel(
            f"'{name}' claims {size:,} elements of {dtype} and holds {raw:,} bytes"
        )
    for field, (_, width) in _FIXED.items():
        held = sum(b - a for a, b in message.get(field, ())) // width
        if held and held not in (size, 2 * size):  # complex numbers take two
            raise UnreadableModel(f"'{name}' claims {size:,} elements and holds {held:,}")


def _value(wire: Wire, message: Message, shape: tuple[int, ...], size: int, dtype: str) -> Any:
    numbers = None
    if "raw_data" in message:
        if dtype in RAW:
            data = b"".join(bytes(wire.data[a:b]) for a, b in message["raw_data"])
            numbers = numpy.frombuffer(data, RAW[dtype]).tolist()
        elif dtype == "bfloat16":  # the upper half of a float32
            data = b"".join(bytes(wire.data[a:b]) for a, b in message["raw_data"])
            halves = numpy.frombuffer(data, "<u2").astype("<u4") << 16
            numbers = halves.view("<f4").tolist()
    elif dtype in RAW:
        numbers = _typed(wire, message, dtype)
    if numbers is None or len(numbers) != size:
        return None
    return numpy.array(numbers, dtype=object).reshape(shape)


def _typed(wire: Wire, message: Message, dtype: str) -> list[Any] | None:
    for field, (form, _) in _FIXED.items():
        if field in message:
            data = b"".join(bytes(wire.data[a:b]) for a, b in message[field])
            return numpy.frombuffer(data, form).tolist()
    for field in _VARINTS:
        if field in message and dtype != "float16":
            packed = (wire.varints(a, b) for a, b in message[field])
            return [bool(v) if dtype == "bool" else v for part in packed for v in part]
    return [] if dtype != "float16" else None


def typed(name: str, kind: Message, role: str = "activation") -> Tensor:
    """A tensor of a TypeProto. A sequence (or a map) is one tensor, whose first axis is its
    length."""
    lengths: list[Dim | None] = []
    while "tensor" not in kind and "sparse" not in kind:
        if "sequence" in kind or "map" in kind:
            lengths.append(symbol(f"{name}_length"))
        kind = next((kind[k] for k in ("sequence", "optional", "map") if k in kind), {})
        if not kind:
            return Tensor(name, None, "", role)
        kind = kind.get("of", {})
    tensor = kind.get("tensor") or kind.get("sparse") or {}
    shape = tensor.get("shape", {} if lengths else None)
    sizes = None if shape is None else (*lengths, *map(_size, shape.get("dim", ())))
    return Tensor(name, sizes, dtype_of(tensor.get("elem_type", 0)), role)


def _size(dim: Message) -> Dim | None:
    """A number, a symbol by its own name, or None where the file says neither."""
    if "value" in dim:
        size = dim["value"]
        if size > LARGEST:
            raise UnreadableModel(f"size {size:,} is more than {LARGEST:,}")
        return size if size >= 0 else None
    text = dim.get("param", "").strip()
    return parse_name(text) if text and text != "?" else None


def texts(wire: Wire, spans: list[Span]) -> list[str]:
    """Repeated text that was left unread."""
    return [*map(partial(_text, wire), spans)]


def _text(wire: Wire, span: Span) -> str:
    return wire.text(*span)
