"""TensorFlow: a SavedModel (its directory, or the file in it) and GraphDefs, text too.

They are data: our own walk of the wire format reads them, weights are stepped over, and
TensorFlow need not be installed. Of a SavedModel one signature is lowered, its functions
inlined; variables have the shapes that their handles state.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from flopwise.errors import UnknownName
from flopwise.frontends import HEAD, Request, read_text
from flopwise.graph import Graph

SUFFIXES = (".pb", ".pbtxt")
OPTIONS = ("signature",)
TABLES = ("layers", "moves", "pointwise", "control")  # each enters its operators
FILE = "saved_model.pb"

_SAVED = re.compile(rb"\x08[\x00\x01]\x12[\x80-\xff]*[\x00-\x7f][\x0a\x12]")
_NODE = re.compile(rb"\x0a[\x80-\xff]*[\x00-\x7f]\x0a[\x80-\xff]?[\x00-\x7f]"
                   rb"[A-Za-z0-9.][\w.\\/>-]*\x12[\x01-\x7f][A-Za-z_][\w>]+")  # fmt: skip
_TEXT = re.compile(rb"(\s|#[^\n]*\n)*node\s*\{\s*(name|op)\s*:")


def accepts(source: Any, head: bytes) -> bool:
    """A directory with a saved_model.pb; a version and a MetaGraphDef; a NodeDef that has a
    name and an operator."""
    if not isinstance(source, Path):
        return False
    if source.is_dir():
        return (source / FILE).is_file()
    return bool(_SAVED.match(head) or _NODE.match(head) or _TEXT.match(head))


def load(source: Path, request: Request) -> Graph:
    """Lower a signature, or all that a GraphDef makes. Raises UnreadableModel, and UnknownName
    for a signature that there is not."""
    from flopwise.frontends.tensorflow.saved import frozen, saved
    from flopwise.frontends.tensorflow.text import wired
    from flopwise.frontends.wire import Wire, open_map

    for table in TABLES:
        import_module(f"{__name__}.{table}")
    path = source / FILE if source.is_dir() else source
    wire = open_map(path)
    written = bool(_TEXT.match(wire.data[:HEAD]) or path.suffix == ".pbtxt")
    if written:
        wire = Wire(wired(read_text(path), str(path)), str(path))
    asked = str(request.options.get("signature", ""))
    if written or _NODE.match(wire.data[:HEAD]):
        if asked:
            raise UnknownName(f"{path}: --signature: a bare graph has none")
        return frozen(wire, source.stem)
    return saved(wire, source.resolve().name if source.is_dir() else source.stem, asked)
