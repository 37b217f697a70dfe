"""Flatbuffers, read straight from a memory map, table by table as a schema asks.

A schema is text: `{"Model": "version:u32 subgraphs:[SubGraph] ..."}`, the fields of each
table in the order of their slots. A table becomes a dict in which every field occurs,
under its default where the file leaves it out. Kinds: bool, i8, u8, i32, u32, i64, u64,
f32, text, [i32] and the like, [text], a table, [a table], span: the (start, stop) of a vector
whose bytes stay unread, and place: that of a table to be read later. `=` gives a default,
`_` stands for a slot to step over.

Every place is checked against the file before it is read, and no file yields more
elements than it has bytes: offsets that share content over and over cannot blow it up.

The encoding: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from flopwise.errors import UnreadableModel, printable

Table: TypeAlias = dict[str, Any]

_FORMS = {
    "bool": "?", "i8": "b", "u8": "B", "i32": "i", "u32": "I", "i64": "q", "u64": "Q", "f32": "f",
    "u16": "H",
}  # fmt: skip
_U16, _I32, _U32 = struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I")


class Field(NamedTuple):
    """One slot of a table: `form` for a number, else `kind` says what the offset leads to."""

    slot: int
    name: str
    kind: str
    many: bool
    form: struct.Struct | None
    default: Any


@cache
def fields(text: str) -> tuple[Field, ...]:
    """The slots that a table's text names."""
    found = []
    for slot, part in enumerate(text.split()):
        name, _, kind = part.partition(":")
        kind, _, default = kind.partition("=")
        many = kind.startswith("[")
        kind = kind.strip("[]")
        form = struct.Struct("<" + _FORMS[kind]) if kind in _FORMS else None
        if name != "_":
            found.append(Field(slot, name, kind, many, form, _default(kind, many, default)))
    return tuple(found)


def _default(kind: str, many: bool, text: str) -> Any:
    if many:
        return ()
    if kind == "text":
        return ""
    return int(text or 0) if kind in _FORMS else None


class Flatbuffer:
    """The bytes of one file, with the schema of what they hold."""

    def __init__(self, data: Any, where: str, schema: Mapping[str, str]) -> None:
        self.data, self.where, self.schema = data, where, schema
        self.size = self.left = len(data)

    def root(self, kind: str) -> Table:
        """The outermost table. Raises UnreadableModel with the byte offset."""
        return self.table(self.schema[kind], self.number(_U32, 0))

    def table(self, text: str, place: int) -> Table:
        """The table at an offset, read by the text of its fields."""
        vtable = place - self.number(_I32, place)
        slots = (self.number(_U16, vtable) - 4) // 2
        found: Table = {}
        for field in fields(text):
            offset = self.number(_U16, vtable + 4 + 2 * field.slot) if field.slot < slots else 0
            found[field.name] = self._value(field, place + offset) if offset else field.default
        self._spend(1, place)
        return found

    def _value(self, field: Field, place: int) -> Any:
        if field.form is not None and not field.many:
            return self.number(field.form, place)
        place += self.number(_U32, place)
        if field.kind == "text" and not field.many:
            return self._text(place)
        if field.kind == "place":
            return place
        if field.kind == "span":
            return self._span(place, 1)
        if not field.many:
            return self.table(self.schema[field.kind], place)
        start, stop = self._span(place, field.form.size if field.form else 4)
        self._spend((stop - start) // (field.form.size if field.form else 4), place)
        if field.form is not None:
            return tuple(v for (v,) in field.form.iter_unpack(self.data[start:stop]))
        places = [p + self.number(_U32, p) for p in range(start, stop, 4)]
        if field.kind == "text":
            return tuple(self._text(p) for p in places)
        return tuple(self.table(self.schema[field.kind], p) for p in places)

    def _span(self, place: int, width: int) -> tuple[int, int]:
        length, start = self.number(_U32, place), place + 4
        if start + length * width > self.size:
            raise self.error(place, f"a vector of {length:,} elements is cut short")
        return start, start + length * width

    def _text(self, place: int) -> str:
        start, stop = self._span(place, 1)
        self._spend(stop - start, place)
        return printable(bytes(self.data[start:stop]).decode("utf-8", "replace"))

    def number(self, form: struct.Struct, place: int) -> Any:
        """The number at a place."""
        if not 0 <= place <= self.size - form.size:
            raise self.error(place, "an offset leads out of the file")
        return form.unpack_from(self.data, place)[0]

    def _spend(self, amount: int, place: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise self.error(place, "holds more than its bytes can (shared offsets)")

    def error(self, place: int, what: str) -> UnreadableModel:
        """One line with the place."""
        return UnreadableModel(f"{self.where}: byte {place:,} of {self.size:,}: {what}")
