"""CoreML models: .mlpackage folders and .mlmodel files, programs (MIL) and neural networks.

Only the specification is read, by our own reader of protobuf: the coremltools package is
one more thing to install and takes seconds to import. Weights are never opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flopwise.frontends import Request
from flopwise.graph import Graph

SUFFIXES = (".mlmodel", ".mlpackage")
BEFORE = {1: 0, 2: 2, 10: 0}  # fields of a Model before the one that says its kind, by encoding


def accepts(source: Any, head: bytes) -> bool:
    """A folder with a manifest, or a Model: its version, description and kind in order."""
    if not isinstance(source, Path):
        return False
    if source.is_dir():
        return (source / "Manifest.json").is_file() and (source / "Data").is_dir()
    return head[:1] == b"\x08" and _reaches_kind(head)


def _reaches_kind(head: bytes) -> bool:
    from flopwise.errors import UnreadableModel
    from flopwise.frontends.coreml.model import KINDS
    from flopwise.frontends.wire import Wire

    wire, place = Wire(head, ""), 0
    try:
        while place < len(head):
            key, place = wire.varint(place, len(head))
            number, form = key >> 3, key & 7
            if number in KINDS and form == 2:
                return True
            if BEFORE.get(number) != form:
                return False
            size, place = wire.varint(place, len(head))
            place += size if form == 2 else 0
    except UnreadableModel:
        pass
    return False


def load(source: Path, request: Request) -> Graph:
    """Lower a model. Raises UnreadableModel."""
    from flopwise.frontends.coreml.model import read

    return read(source, request)
