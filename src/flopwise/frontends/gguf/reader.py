"""The header of a GGUF file: key-value pairs and tensors, never a byte of the weights.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3. Every length
is checked against the size of the file before anything is read or made.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from flopwise.errors import UnreadableModel
from flopwise.frontends.weights import role_of
from flopwise.graph import Tensor

# Type: elements of a block, its bytes, our dtype; ggml.h and gguf-py/gguf/constants.py of
# llama.cpp. A block of few bits holds its scales as well.
TYPES = {
    0: (1, 4, "float32"), 1: (1, 2, "float16"), 2: (32, 18, "q4_0"), 3: (32, 20, "q4_1"),
    6: (32, 22, "q5_0"), 7: (32, 24, "q5_1"), 8: (32, 34, "q8_0"), 9: (32, 40, "q8_1"),
    10: (256, 84, "q2_k"), 11: (256, 110, "q3_k"), 12: (256, 144, "q4_k"), 13: (256, 176, "q5_k"),
    14: (256, 210, "q6_k"), 15: (256, 292, "q8_k"), 16: (256, 66, "iq2_xxs"),
    17: (256, 74, "iq2_xs"), 18: (256, 98, "iq3_xxs"), 19: (256, 50, "iq1_s"),
    20: (32, 18, "iq4_nl"), 21: (256, 110, "iq3_s"), 22: (256, 82, "iq2_s"),
    23: (256, 136, "iq4_xs"), 24: (1, 1, "int8"), 25: (1, 2, "int16"), 26: (1, 4, "int32"),
    27: (1, 8, "int64"), 28: (1, 8, "float64"), 29: (256, 56, "iq1_m"), 30: (1, 2, "bfloat16"),
    34: (256, 54, "tq1_0"), 35: (256, 66, "tq2_0"), 39: (32, 17, "mxfp4"), 40: (64, 36, "nvfp4"),
    41: (128, 18, "q1_0"), 42: (64, 18, "q2_0"),
}  # fmt: skip
NUMBERS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd"))
STRING, ARRAY = 8, 9
MOST_AXES = 4
LONGEST = 2**63
KEPT = 4096  # elements of an array that are kept; vocabularies are passed over


@dataclass(frozen=True)
class Header:
    """What a file says of itself, and its tensors."""

    facts: dict[str, Any]
    tensors: list[Tensor]


def read(path: Path) -> Header:
    """The header of one file. Raises UnreadableModel."""
    with path.open("rb") as file:
        cursor = _Cursor(file, path)
        if cursor.take(4) != b"GGUF":
            raise UnreadableModel(f"{path}: no GGUF file")
        cursor.find_order()
        tensors, pairs = cursor.number("Q"), cursor.number("Q")
        cursor.bound(tensors, 24, "tensors")  # each with at least a name, axes, type and place
        cursor.bound(pairs, 13, "key-value pairs")
        facts = {}
        for _ in range(pairs):
            key = cursor.text()
            facts[key] = cursor.value(cursor.number("I"))
        return Header(facts, [_tensor(cursor) for _ in range(tensors)])


class _Cursor:
    """Reads forward, and nowhere past the end of the file."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self.path = file, path
        self._size, self._order = path.stat().st_size, "<"

    def find_order(self) -> None:
        """Versions are small: one that is large in this order of bytes has the other."""
        raw = self.take(4)
        for order in "<>":
            if struct.unpack(f"{order}I", raw)[0] in (2, 3):
                self._order = order
                return
        version = int.from_bytes(raw, "little")
        raise UnreadableModel(f"{self.path}: GGUF version {version}; 2 and 3 are read")

    def bound(self, count: int, least: int, what: str) -> None:
        """Refuse more of something than the rest of the file could hold."""
        if count * least > self._size - self._file.tell():
            raise UnreadableModel(f"{self.path}: {count} {what} in a file of {self._size} bytes")

    def take(self, count: int) -> bytes:
        self.bound(count, 1, "bytes")
        return self._file.read(count)

    def number(self, code: str) -> Any:
        return struct.unpack(f"{self._order}{code}", self.take(struct.calcsize(code)))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        """A number, a text or a list; of long lists None, once they are passed over."""
        if kind == STRING:
            return self.text()
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind != ARRAY or depth > 2:
            raise UnreadableModel(f"{self.path}: no value has type {kind}")
        inner, count = self.number("I"), self.number("Q")
        width = struct.calcsize(NUMBERS[inner]) if inner in NUMBERS else 8
        self.bound(count, width, "values")
        if inner in NUMBERS and count > KEPT:
            self._file.seek(count * width, 1)
            return None
        found = [self.value(inner, depth + 1) for _ in range(count)]
        return found if count <= KEPT else None


def _tensor(cursor: _Cursor) -> Tensor:
    """One tensor. Its axes come with the fastest first, ours with the slowest."""
    name = cursor.text()
    where = f"{cursor.path}: tensor '{name[:80]}'"
    axes = cursor.number("I")
    if axes > MOST_AXES:
        raise UnreadableModel(f"{where} has {axes} axes")
    sizes = tuple(cursor.number("Q") for _ in range(axes))
    kind, _ = cursor.number("I"), cursor.number("Q")
    if kind not in TYPES:
        raise UnreadableModel(f"{where} has type {kind}, which is not known")
    block, size, dtype = TYPES[kind]
    if any(s >= LONGEST for s in sizes) or prod(sizes) >= LONGEST or 0 in sizes:
        raise UnreadableModel(f"{where} has sizes that no tensor has: {sizes}")
    if prod(sizes[:1]) % block:
        raise UnreadableModel(f"{where}: rows of {prod(sizes[:1])} are no blocks of {block}")
    stored = prod(sizes) // block * size
    return Tensor(name, sizes[::-1], dtype, role_of(name, dtype), stored=stored)
