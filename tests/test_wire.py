"""The reader of protobuf's wire format, which steps over what is not asked for."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from flopwise.errors import UnreadableModel
from flopwise.frontends import wire
from flopwise.frontends.wire import BYTES, FLOAT, FLOATS, INT, INTS, SPANS, TEXT, TEXTS, Wire
from support.onnx_bytes import field, varint

INNER = {1: ("size", INT)}
SCHEMA: dict[int, tuple[str, Any]] = {
    1: ("number", INT), 2: ("numbers", INTS), 3: ("real", FLOAT), 4: ("reals", FLOATS),
    5: ("word", TEXT), 6: ("words", TEXTS), 7: ("held", BYTES), 8: ("places", SPANS),
    9: ("inner", INNER), 10: ("inners", [INNER]), 2000: ("far", INT),
}  # fmt: skip


def read(data: bytes) -> dict[str, Any]:
    return Wire(data, "test").message(SCHEMA)


def fixed(number: int, value: float) -> bytes:
    return varint(number << 3 | 5) + struct.pack("<f", value)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", {}),
        (field(1, 300), {"number": 300}),
        (field(1, -2), {"number": -2}),
        (field(1, 1) + field(1, 2), {"number": 2}),
        (field(2, 5) + field(2, 6), {"numbers": [5, 6]}),
        (field(2, varint(5) + varint(-6)), {"numbers": [5, -6]}),
        (fixed(3, 0.5), {"real": 0.5}),
        (field(4, struct.pack("<2f", 0.5, 2)) + fixed(4, 3), {"reals": [0.5, 2.0, 3.0]}),
        (field(5, "grün"), {"word": "grün"}),
        (field(6, "a") + field(6, ""), {"words": ["a", ""]}),
        (field(7, b"\x00\xff"), {"held": b"\x00\xff"}),
        (field(8, b"abc"), {"places": [(2, 5)]}),
        (field(9, field(1, 4)), {"inner": {"size": 4}}),
        (field(10, field(1, 4)) + field(10, b""), {"inners": [{"size": 4}, {}]}),
        (field(2000, 7), {"far": 7}),
        (field(99, b"x" * 500) + field(98, 3) + fixed(97, 1) + field(1, 1), {"number": 1}),
    ],
)
def test_fields_are_read_by_their_kind(data: bytes, found: dict[str, Any]) -> None:
    assert read(data) == found


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (varint(5 << 3 | 2) + varint(9) + b"short", "a field of 9 bytes is cut short"),
        (varint(5 << 3 | 2) + varint(2**63), "is cut short"),
        (varint(5 << 3 | 2), "cut short"),
        (varint(1 << 3) + b"\xff", "a number is cut short"),
        (varint(1 << 3) + b"\xff" * 11, "longer than ten bytes"),
        (varint(3 << 3 | 5) + b"\x00", "a number is cut short"),
        (varint(1 << 3 | 3), "not a protobuf field"),
        (field(1, "text"), "number is not a number"),
        (field(5, 3), "word is a mere number"),
        (field(5, b"\xff\xfe"), "not UTF-8 text"),
        (field(4, b"abc"), "no whole number of floats"),
    ],
)
def test_what_is_broken_is_told_with_its_place(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableModel, match=reason) as error:
        read(data)
    assert str(error.value).startswith("test: byte ")


def test_messages_may_not_nest_without_end() -> None:
    endless: dict[int, tuple[str, Any]] = {}
    endless[1] = ("inner", endless)
    data = b""
    for _ in range(200):
        data = field(1, data)
    with pytest.raises(UnreadableModel, match="nested more than 100 deep"):
        Wire(data, "test").message(endless)


def test_a_large_file_is_mapped_and_its_bytes_are_left_alone(tmp_path: Path) -> None:
    """A hole of a gigabyte between two fields: reading it would show."""
    path, hole = tmp_path / "large", 2**30
    with path.open("wb") as file:
        file.write(field(1, 5) + varint(8 << 3 | 2) + varint(hole))
        file.seek(hole, 1)
        file.write(field(5, "end"))
    start = len(field(1, 5) + varint(8 << 3 | 2) + varint(hole))
    found = wire.open_map(path).message(SCHEMA)
    assert found == {"number": 5, "places": [(start, start + hole)], "word": "end"}
