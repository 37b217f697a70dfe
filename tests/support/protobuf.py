"""A writer of protobuf messages for tests: the reader's schemas, in the other direction."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from flopwise.frontends.wire import BYTES, FLOAT, FLOATS, INT, INTS, SPANS, TEXT, TEXTS, Schema


def varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def encode(schema: Schema, message: Mapping[str, Any]) -> bytes:
    """The message as bytes. Spans are given as the bytes they span, or a list of such."""
    known = {name for name, _ in schema.values()}
    assert set(message) <= known, set(message) - known
    parts = []
    for number, (name, kind) in schema.items():
        if name in message:
            parts += [_field(number, kind, message[name])]
            message = {k: v for k, v in message.items() if k != name}
    return b"".join(parts)


def _field(number: int, kind: Any, value: Any) -> bytes:
    def delimited(content: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(content)) + content

    if kind is INT:
        return varint(number << 3) + varint(int(value))
    if kind is FLOAT:
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if kind is TEXT:
        return delimited(value.encode())
    if kind is TEXTS:
        return b"".join(delimited(v.encode()) for v in value)
    if kind is INTS:
        return delimited(b"".join(map(varint, value)))
    if kind is FLOATS:
        return delimited(struct.pack(f"<{len(value)}f", *value))
    if kind is SPANS and isinstance(value, list):
        return b"".join(map(delimited, value))
    if kind is BYTES or kind is SPANS:
        return delimited(bytes(value))
    if isinstance(kind, list):
        return b"".join(delimited(encode(kind[0], v)) for v in value)
    return delimited(encode(kind, value))
