"""A few lines that write ONNX files, well-formed or not, without the onnx package."""

from __future__ import annotations

import struct
from collections.abc import Iterable

FLOAT, INT64 = 1, 7


def varint(value: int) -> bytes:
    """A number as protobuf writes it, seven bits a byte; negative ones as 64 bits."""
    value &= 2**64 - 1
    head = b""
    while value > 127:
        head += bytes([value & 127 | 128])
        value >>= 7
    return head + bytes([value])


def field(number: int, value: bytes | str | int) -> bytes:
    """A field of a message: a number, or text or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def node(
    op: str, inputs: str, outputs: str, *attributes: bytes, name: str = "", domain: str = "",
    number: int = 1,
) -> bytes:  # fmt: skip
    """A NodeProto in a graph (`number` 7: in a function); operands and results apart by spaces."""
    body = b"".join(field(1, i) for i in inputs.split())
    body += b"".join(field(2, o) for o in outputs.split())
    body += field(3, name) if name else b""
    body += field(4, op) + b"".join(field(5, a) for a in attributes)
    return field(number, body + (field(7, domain) if domain else b""))


def integer(name: str, value: int) -> bytes:
    return field(1, name) + field(3, value) + field(20, 2)


def integers(name: str, *values: int) -> bytes:
    return field(1, name) + b"".join(field(8, v) for v in values) + field(20, 7)


def text(name: str, value: str) -> bytes:
    return field(1, name) + field(4, value) + field(20, 3)


def real(name: str, value: float) -> bytes:
    return field(1, name) + varint(2 << 3 | 5) + struct.pack("<f", value) + field(20, 1)


def reals(name: str, *values: float) -> bytes:
    data = struct.pack(f"<{len(values)}f", *values)
    return field(1, name) + field(7, data) + field(20, 6)


def texts(name: str, *values: str) -> bytes:
    return field(1, name) + b"".join(field(9, v) for v in values) + field(20, 8)


def subgraph(name: str, graph: bytes) -> bytes:
    return field(1, name) + field(6, graph) + field(20, 5)


def value(number: int, name: str, shape: Iterable[int | str], dtype: int = FLOAT) -> bytes:
    """A ValueInfoProto, as an input (11) or an output (12) of a graph."""
    dims = b"".join(field(1, field(1 if isinstance(s, int) else 2, s)) for s in shape)
    return field(number, field(1, name) + field(2, field(1, field(1, dtype) + field(2, dims))))


def weight(name: str, shape: Iterable[int], data: bytes | None = None, dtype: int = FLOAT) -> bytes:
    """An initializer; without data, of zeros."""
    dims, size = b"".join(field(1, s) for s in shape), 4 if dtype == FLOAT else 8
    for axis in shape:
        size *= axis
    held = bytes(size) if data is None else data
    return field(5, dims + field(2, dtype) + field(8, name) + field(9, held))


def sizes(name: str, *values: int) -> bytes:
    """An initializer of integers."""
    data = b"".join(v.to_bytes(8, "little", signed=True) for v in values)
    return weight(name, (len(values),), data, INT64)


def function(name: str, inputs: str, outputs: str, *nodes: bytes, domain: str = "own") -> bytes:
    """A FunctionProto in a model."""
    head = field(1, name) + b"".join(field(4, i) for i in inputs.split())
    head += b"".join(field(5, o) for o in outputs.split())
    return field(25, head + b"".join(nodes) + field(10, domain))


def model(graph: bytes, *rest: bytes, version: int = 17) -> bytes:
    """A ModelProto of one graph."""
    return field(1, 8) + field(8, field(2, version)) + field(7, graph) + b"".join(rest)
