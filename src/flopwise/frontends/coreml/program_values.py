"""Types and stored values of MIL."""

from __future__ import annotations

import struct
from typing import Any

from flopwise.frontends.coreml.schema import DTYPES
from flopwise.frontends.wire import Message, Wire

FEW = 4096  # elements of a constant that are read
_BYTES = {
    "float16": "e", "float32": "f", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H",
    "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "bool": "?",
}  # fmt: skip


def typed(message: Message) -> tuple[tuple[int | None, ...] | None, str]:
    """Shape and dtype of a ValueType; None for what is no tensor or of free rank."""
    message = message.get("state", {}).get("wrapped", message)
    tensor = message.get("tensor")
    if tensor is None:
        return None, ""
    dtype = DTYPES.get(tensor.get("type", 0), "")
    sizes: list[int | None] = []
    for dimension in tensor.get("dimensions", ()):
        if dimension.get("unknown", {}).get("variadic"):
            return None, dtype
        constant = dimension.get("constant")
        size = None if constant is None else constant.get("size", 0)
        if size is not None and size < 0:
            size = None
        sizes.append(size)
    return tuple(sizes), dtype


def data_of(wire: Wire, value: Message, dtype: str) -> Any:
    """The numbers of a small immediate tensor, its text, or its list; None for a file's."""
    held = value.get("immediate")
    if held is None:
        return None
    if "list" in held or "tuple" in held:
        parts = held.get("list", held.get("tuple", {})).get("values", ())
        return [data_of(wire, part, dtype) for part in parts]
    tensor = held.get("tensor", {})
    for kind, read in (("ints", _integers), ("bools", _integers), ("floats", _floats)):
        if kind in tensor:
            return read(wire, tensor[kind].get("values", ()))
    if "strings" in tensor:
        texts = tensor["strings"].get("values", [""])
        return texts[0] if len(texts) == 1 else texts
    if "bytes" in tensor and dtype in _BYTES:
        return _raw(wire, tensor["bytes"].get("values", ()), _BYTES[dtype])
    return None


def _integers(wire: Wire, spans: Any) -> list[int] | None:
    if sum(stop - start for start, stop in spans) > 10 * FEW:
        return None
    found: list[int] = []
    for start, stop in spans:
        found.extend(wire.varints(start, stop))
    return found if len(found) <= FEW else None


def _floats(wire: Wire, spans: Any) -> list[float] | None:
    if sum(stop - start for start, stop in spans) > 4 * FEW:
        return None
    return [v for start, stop in spans for v in wire.floats(start, stop)]


def _raw(wire: Wire, spans: Any, form: str) -> list[Any] | None:
    data = b"".join(wire.data[start:stop] for start, stop in spans[:1])
    width = struct.calcsize(f"<{form}")
    if len(data) > FEW * width or len(data) % width:
        return None
    return list(struct.unpack(f"<{len(data) // width}{form}", data))
