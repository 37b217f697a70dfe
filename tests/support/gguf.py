"""Write the header of a GGUF file, version 3, little-endian, without the weights."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Entry = tuple[str, Sequence[int], int]  # a name, axes with the slowest first, a type


def text(value: str, order: str = "<") -> bytes:
    raw = value.encode()
    return struct.pack(f"{order}Q", len(raw)) + raw


def value(given: Any, order: str = "<") -> bytes:
    """A type and a value: text, bool, int, float or a list of text or int."""
    if isinstance(given, str):
        return struct.pack(f"{order}I", 8) + text(given, order)
    if isinstance(given, bool):
        return struct.pack(f"{order}I?", 7, given)
    if isinstance(given, int):
        return struct.pack(f"{order}II", 4, given)
    if isinstance(given, float):
        return struct.pack(f"{order}If", 6, given)
    kind = 8 if given and isinstance(given[0], str) else 4
    head = struct.pack(f"{order}IIQ", 9, kind, len(given))
    return head + b"".join(value(item, order)[4:] for item in given)


def header(
    facts: Mapping[str, Any], tensors: Sequence[Entry], order: str = "<", version: int = 3
) -> bytes:
    parts = [b"GGUF", struct.pack(f"{order}IQQ", version, len(tensors), len(facts))]
    parts += [text(key, order) + value(given, order) for key, given in facts.items()]
    for name, shape, kind in tensors:
        axes = [*shape][::-1]
        place = struct.pack(f"{order}I{len(axes)}QIQ", len(axes), *axes, kind, 0)
        parts.append(text(name, order) + place)
    return b"".join(parts)


def write(path: Path, facts: Mapping[str, Any], tensors: Sequence[Entry]) -> Path:
    path.write_bytes(header(facts, tensors))
    return path
