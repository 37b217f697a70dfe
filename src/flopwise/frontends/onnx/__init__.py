"""ONNX models of any size: headers only, weights untouched, no `onnx` package needed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends import Request
from flopwise.graph import Graph

SUFFIXES = (".onnx",)

TABLES = (
    "arithmetic", "attention", "blocked", "classical", "control", "fused", "fused_attention",
    "fused_movement", "fused_packed", "fused_position", "fused_quantized", "indexing",
    "layers", "movement", "normalization", "quantized", "recurrent", "sequences", "signal",
    "training", "vision",
)  # fmt: skip

_LENGTH = {2, 3, 4, 6, 7, 8, 14, 20, 25, 26}  # ModelProto's fields, by their encoding
_NUMBER = {1, 5}


def accepts(source: Any, head: bytes) -> bool:
    """A ModelProto: an object of the onnx package, or a file that reaches field 7, `graph`,
    over fields that a ModelProto has, the first of them `ir_version`."""
    if not isinstance(source, Path):
        return type(source).__name__ == "ModelProto" and hasattr(source, "SerializeToString")
    return head[:1] == b"\x08" and _reaches_graph(head)


def _reaches_graph(head: bytes) -> bool:
    from flopwise.frontends.wire import Wire

    wire, place = Wire(head, ""), 0
    try:
        while place < len(head):
            key, place = wire.varint(place, len(head))
            if key == 7 << 3 | 2:
                return True
            if key & 7 == 2 and key >> 3 in _LENGTH:
                length, place = wire.varint(place, len(head))
                place += length
            elif key & 7 == 0 and key >> 3 in _NUMBER:
                _, place = wire.varint(place, len(head))
            else:
                return False
    except UnreadableModel:
        pass
    return False


def load(source: Any, request: Request) -> Graph:
    """Lower a model. Symbolic axes keep their own names. Raises UnreadableModel.

    With the option `optimised`, as onnxruntime rewrites the file for this machine's CPU.
    """
    from importlib import import_module

    from flopwise.frontends.onnx.model import lower
    from flopwise.frontends.onnx.schema import MODEL
    from flopwise.frontends.wire import Wire, open_map

    for table in TABLES:  # each enters its operators
        import_module(f"{__name__}.{table}")
    if request.options.get("optimised") and isinstance(source, Path):
        from flopwise.frontends.onnx.optimised import rewritten

        wire, stem = Wire(rewritten(source), str(source)), source.stem
    elif isinstance(source, Path):
        wire, stem = open_map(source), source.stem
    else:
        wire, stem = Wire(source.SerializeToString(), "the model"), "model"
    return lower(wire, wire.message(MODEL), stem)


def densities(source: Path) -> dict[str, Fraction]:
    """The share of non-zero elements of each weight. Reads all weight bytes."""
    from flopwise.frontends.onnx.density import densities as read

    return read(source)
