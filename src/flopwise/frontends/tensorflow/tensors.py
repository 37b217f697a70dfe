"""Stored tensors by their headers. Weight bytes are not read; small constants are."""

from __future__ import annotations

from math import prod
from typing import Any

from flopwise import arrays as numpy
from flopwise.errors import UnreadableModel
from flopwise.frontends.tensorflow.schema import dtype_of
from flopwise.frontends.wire import Message, Wire
from flopwise.graph import BITS, Tensor

LARGEST = 2**48  # elements; more is a lie
LARGEST_INTS, LARGEST_FLOATS = 4096, 16  # elements of constants that are worth reading

RAW = {
    "float32": "<f4", "float64": "<f8", "int32": "<i4", "uint8": "u1", "int16": "<i2", "int8": "i1",
    "int64": "<i8", "bool": "?", "float16": "<f2", "uint16": "<u2", "uint32": "<u4",
    "uint64": "<u8",
}  # fmt: skip
LISTED = {
    "floats": "float32", "doubles": "float64", "ints": "", "longs": "", "bools": "", "halves": "",
    "uint32s": "", "uint64s": "",
}  # fmt: skip


def shape_of(message: Message) -> tuple[int | None, ...] | None:
    """A TensorShapeProto: -1 is a free axis. Raises UnreadableModel."""
    if message.get("unknown"):
        return None
    sizes = [axis.get("size", 0) for axis in message.get("dim", ())]
    if any(s < -1 for s in sizes) or prod(s for s in sizes if s > 0) > LARGEST:
        raise UnreadableModel(f"a shape of {sizes}")
    return tuple(None if s < 0 else s for s in sizes)


def stored(wire: Wire, message: Message, name: str) -> Tensor:
    """The value of a Const, as a constant. Raises UnreadableModel where it holds other than
    its header says."""
    dtype, shape = dtype_of(message.get("dtype", 0)), shape_of(message.get("shape", {}))
    if shape is None or None in shape:
        raise UnreadableModel("a constant with a free axis")
    size = prod(s or 0 for s in shape)
    held = sum(b - a for a, b in message.get("content", ()))
    if held and BITS[dtype] and held != -(-size * BITS[dtype] // 8):
        raise UnreadableModel(f"claims {size:,} elements of {dtype} and holds {held:,} bytes")
    value = None
    if size <= (LARGEST_FLOATS if "float" in dtype else LARGEST_INTS):
        value = _value(wire, message, shape, size, dtype)
    return Tensor(name, shape, dtype, "constant", value=value)


def _value(wire: Wire, message: Message, shape: Any, size: int, dtype: str) -> Any:
    if dtype not in RAW:
        return None
    if "content" in message:
        data = b"".join(bytes(wire.data[a:b]) for a, b in message["content"])
        numbers = numpy.frombuffer(data, RAW[dtype]).tolist()
    else:
        numbers = _listed(wire, message)
        if numbers is None or len(numbers) > size:
            return None
        numbers += [numbers[-1] if numbers else 0] * (size - len(numbers))  # the last repeats
    made = numpy.empty(size, dtype=object)
    made[:] = [bool(v) for v in numbers] if dtype == "bool" else numbers
    return made.reshape(shape)


def _listed(wire: Wire, message: Message) -> list[Any] | None:
    """Numbers in the field of their type, which writers pack or write one by one; None for
    half precision, which lies in integers."""
    numbers: list[Any] = []
    for field, floats in LISTED.items():
        for a, b in message.get(field, ()):
            if field == "halves":
                return None
            if floats:
                numbers += numpy.frombuffer(bytes(wire.data[a:b]), RAW[floats]).tolist()
            else:
                numbers += wire.varints(a, b)
    return numbers
