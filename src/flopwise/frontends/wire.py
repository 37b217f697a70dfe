"""Protobuf's wire format, read straight from a memory map, and only where asked.

A schema says which fields matter: `{field number: (name, kind)}`. A message becomes a dict
of those that occur. Everything else is stepped over by its length, so that the weights of
a file are never touched, however many gigabytes they take.

Kinds: INT and FLOAT (a scalar), TEXT and BYTES, their repeated forms INTS, FLOATS (packed
or not) and TEXTS, SPANS (places of bytes that are not read: (start, stop) pairs), a schema
(a nested message), and a schema in a list (repeated nested messages).

The encoding: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from flopwise.errors import UnreadableModel
from flopwise.frontends import DEEPEST

INT, INTS, FLOAT, FLOATS = "int", "ints", "float", "floats"
TEXT, TEXTS, BYTES, SPANS = "text", "texts", "bytes", "spans"

Schema: TypeAlias = dict[int, tuple[str, Any]]
Message: TypeAlias = dict[str, Any]
Span: TypeAlias = tuple[int, int]

SMALL = 32 * 2**20

_WIDTH = {1: 8, 5: 4}


class Wire:
    """The bytes of one file or message, and where they came from (for messages)."""

    def __init__(self, data: Any, where: str) -> None:
        self.data = data
        self.where = where
        self.size = len(data)

    def message(self, schema: Schema) -> Message:
        """The whole content as one message. Raises UnreadableModel with the byte offset."""
        return self.read(schema, 0, self.size, 0)

    def read(self, schema: Schema, place: int, stop: int, depth: int) -> Message:
        """The message between two offsets."""
        if depth > DEEPEST:
            raise self.error(place, f"messages are nested more than {DEEPEST} deep")
        data, text = self.data, self.text
        found: Message = {}
        while place < stop:
            key = data[place]
            place += 1
            if key > 127:
                key, place = self.varint(place - 1, stop)
            field = schema.get(key >> 3)
            if key & 7 != 2:
                place = self._scalar(found, field, key & 7, key >> 3, place, stop)
                continue
            # Most fields are short and have a length of one byte: no calls for those.
            length = data[place] if place < stop else 128
            place += 1
            if length > 127:
                length, place = self.varint(place - 1, stop)
            end = place + length
            if end > stop:
                raise self.error(place, f"a field of {length:,} bytes is cut short")
            if field is not None:
                name, kind = field
                if kind is TEXT:
                    found[name] = text(place, end)
                elif type(kind) is list:
                    message = self.read(kind[0], place, end, depth + 1)
                    if name in found:
                        found[name].append(message)
                    else:
                        found[name] = [message]
                elif kind is TEXTS:
                    if name in found:
                        found[name].append(text(place, end))
                    else:
                        found[name] = [text(place, end)]
                else:
                    self._delimited(found, name, kind, place, end, depth)
            place = end
        return found

    def _delimited(
        self, found: Message, name: str, kind: Any, place: int, end: int, depth: int
    ) -> None:
        if type(kind) is dict:
            found.setdefault(name, {}).update(self.read(kind, place, end, depth + 1))
        elif kind is SPANS:
            found.setdefault(name, []).append((place, end))
        elif kind is INTS:
            found.setdefault(name, []).extend(self.varints(place, end))
        elif kind is FLOATS:
            found.setdefault(name, []).extend(self.floats(place, end))
        elif kind is BYTES:
            found[name] = bytes(self.data[place:end])
        else:
            raise self.error(place, f"{name} is not a number")

    def _scalar(
        self, found: Message, field: tuple[str, Any] | None, form: int, number: int,
        place: int, stop: int,
    ) -> int:  # fmt: skip
        value: Any
        start = place
        if form == 0:
            value = self.data[place] if place < stop else 128
            place += 1
            if value > 127:
                value, place = self.varint(start, stop)
                value -= 1 << 64 if value >> 63 else 0
        elif form in _WIDTH and number:
            place += _WIDTH[form]
            if place > stop:
                raise self.error(start, "a number is cut short")
            (value,) = struct.unpack("<f" if form == 5 else "<d", self.data[start:place])
        else:
            raise self.error(start - 1, "not a protobuf field")
        if field is None:
            return place
        name, kind = field
        if kind is INT or kind is FLOAT:
            found[name] = value
        elif kind is INTS or kind is FLOATS:
            found.setdefault(name, []).append(value)
        elif kind is SPANS:
            found.setdefault(name, []).append((start, place))
        else:
            raise self.error(start, f"{name} is a mere number")
        return place

    def varint(self, place: int, stop: int) -> tuple[int, int]:
        """An unsigned number of at most ten bytes, and the offset after it."""
        value, start = 0, place
        for shift in range(0, 70, 7):
            if place >= stop:
                raise self.error(start, "a number is cut short")
            byte = self.data[place]
            place += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value & 0xFFFFFFFFFFFFFFFF, place
        raise self.error(start, "a number is longer than ten bytes")

    def varints(self, place: int, stop: int) -> Iterator[int]:
        """Packed signed numbers."""
        while place < stop:
            value, place = self.varint(place, stop)
            yield value - (1 << 64) if value >> 63 else value

    def floats(self, place: int, stop: int) -> tuple[float, ...]:
        """Packed 32-bit floats."""
        if (stop - place) % 4:
            raise self.error(place, f"{stop - place} bytes hold no whole number of floats")
        return struct.unpack(f"<{(stop - place) // 4}f", self.data[place:stop])

    def text(self, place: int, stop: int) -> str:
        """UTF-8 text. Raises UnreadableModel when it is none."""
        try:
            return str(self.data[place:stop], "utf-8")
        except UnicodeDecodeError:
            raise self.error(place, "not UTF-8 text") from None

    def error(self, place: int, what: str) -> UnreadableModel:
        """One line with the place."""
        return UnreadableModel(f"{self.where}: byte {place:,} of {self.size:,}: {what}")


def open_map(path: Path) -> Wire:
    """A file as a memory map, of which only the pages that are read are loaded; a small one
    as its bytes, which take half the time to walk."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size <= SMALL:
            return Wire(file.read(), str(path))
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_RANDOM"):
        mapped.madvise(mmap.MADV_RANDOM)  # reading ahead would load the weights
    return Wire(mapped, str(path))
