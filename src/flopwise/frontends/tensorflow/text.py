"""A GraphDef in protobuf's text format, rewritten in its wire format.

Names and numbers of fields: tensorflow/core/framework/*.proto of
https://github.com/tensorflow/tensorflow/tree/v2.16.1; those that a count does not need are
left out.
"""

from __future__ import annotations

import re
import struct
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.prototext import Message, parse

INT, TYPE, FLOAT, DOUBLE, BYTES = "int", "type", "float", "double", "bytes"

Fields = dict[str, tuple[int, Any]]

SHAPE: Fields = {"dim": (2, {"size": (1, INT)}), "unknown_rank": (3, INT)}
TENSOR: Fields = {
    "dtype": (1, TYPE), "tensor_shape": (2, SHAPE), "tensor_content": (4, BYTES),
    "float_val": (5, FLOAT), "double_val": (6, DOUBLE), "int_val": (7, INT),
    "int64_val": (10, INT), "bool_val": (11, INT), "half_val": (13, INT),
    "uint32_val": (16, INT), "uint64_val": (17, INT),
}  # fmt: skip
VALUE: Fields = {}
ATTR: Fields = {"key": (1, BYTES), "value": (2, VALUE)}
VALUE |= {
    "list": (1, {"s": (2, BYTES), "i": (3, INT), "type": (6, TYPE)}), "s": (2, BYTES),
    "i": (3, INT), "f": (4, FLOAT), "b": (5, INT), "type": (6, TYPE), "shape": (7, SHAPE),
    "tensor": (8, TENSOR), "placeholder": (9, BYTES),
    "func": (10, {"name": (1, BYTES), "attr": (2, ATTR)}),
}  # fmt: skip
NODE: Fields = {"name": (1, BYTES), "op": (2, BYTES), "input": (3, BYTES), "attr": (5, ATTR)}
ARGUMENT: Fields = {"name": (1, BYTES), "type": (3, TYPE)}
SIGNATURE: Fields = {"name": (1, BYTES), "input_arg": (2, ARGUMENT), "output_arg": (3, ARGUMENT)}
FUNCTION: Fields = {
    "signature": (1, SIGNATURE), "node_def": (3, NODE),
    "ret": (4, {"key": (1, BYTES), "value": (2, BYTES)}),
}  # fmt: skip
GRAPH: Fields = {
    "node": (1, NODE), "library": (2, {"function": (1, FUNCTION)}),
    "versions": (4, {"producer": (1, INT)}),
}  # fmt: skip

TYPES = (
    "INVALID", "FLOAT", "DOUBLE", "INT32", "UINT8", "INT16", "INT8", "STRING", "COMPLEX64",
    "INT64", "BOOL", "QINT8", "QUINT8", "QINT32", "BFLOAT16", "QINT16", "QUINT16", "UINT16",
    "COMPLEX128", "HALF", "RESOURCE", "VARIANT", "UINT32", "UINT64",
)  # fmt: skip
WORDS = {"true": 1, "True": 1, "t": 1, "false": 0, "False": 0, "f": 0}

_ESCAPE = re.compile(rb"\\([0-7]{1,3}|[xX][0-9a-fA-F]{1,2}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f",
            b"v": b"\v"}  # fmt: skip


def wired(text: str, where: str) -> bytes:
    """The bytes of a GraphDef. Raises UnreadableModel naming the field."""
    try:
        return _message(parse(text, where), GRAPH)
    except UnreadableModel as error:
        told = str(error)
        raise UnreadableModel(told if told.startswith(where) else f"{where}: {told}") from None


def _message(message: Message, fields: Fields) -> bytes:
    parts = []
    for name, values in message.items():
        if name not in fields:
            continue
        number, kind = fields[name]
        for value in values:
            if isinstance(value, dict) != isinstance(kind, dict):
                raise UnreadableModel(
                    f"{name} is {'a' if isinstance(value, dict) else 'no'} message"
                )
            parts.append(_field(number, kind, value, name))
    return b"".join(parts)


def _field(number: int, kind: Any, value: Any, name: str) -> bytes:
    if kind in (INT, TYPE):
        return _varint(number << 3) + _varint(_code(value) if kind == TYPE else _int(value, name))
    if kind in (FLOAT, DOUBLE):
        form, width = ("<f", 5) if kind == FLOAT else ("<d", 1)
        return _varint(number << 3 | width) + struct.pack(form, _real(value, name))
    held = _unescaped(value) if kind == BYTES else _message(value, kind)
    return _varint(number << 3 | 2) + _varint(len(held)) + held


def _varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes((*made, value))


def _int(value: str, name: str) -> int:
    try:
        found = WORDS.get(value)
        found = int(value, 0) if found is None else found
    except ValueError:
        raise UnreadableModel(f"{name} is '{value[:40]}', not a whole number") from None
    if not -(2**63) <= found < 2**64:
        raise UnreadableModel(f"{name} is {value[:40]}, which 64 bits do not hold")
    return found


def _real(value: str, name: str) -> float:
    try:
        return float(value.rstrip("fF") if value[-2:].lower() != "inf" else value)
    except ValueError:
        raise UnreadableModel(f"{name} is '{value[:40]}', not a number") from None


def _code(value: str) -> int:
    """A data type by its name, DT_FLOAT, or by its number."""
    name = value.removeprefix("DT_").removesuffix("_REF")
    if name in TYPES:
        return TYPES.index(name) + (100 if value.endswith("_REF") else 0)
    return _int(value, "a data type")


def _unescaped(value: str) -> bytes:
    def one(found: re.Match[bytes]) -> bytes:
        code: bytes = found[1]
        if code[:1] in b"01234567":
            return bytes((int(code, 8) & 255,))
        if len(code) > 1:
            return bytes((int(code[1:], 16),))
        return _LETTERS.get(code, code)

    return _ESCAPE.sub(one, value.encode())
