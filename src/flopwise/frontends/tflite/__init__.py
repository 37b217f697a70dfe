"""TensorFlow Lite (LiteRT) flatbuffers: float and quantised, with sub-graphs.

The file is mapped and walked by our own reader of tables (flatbuffer.py, 130 lines): the
`tflite` package is one more thing to install and reads every vector whole, weights too.

TFLite states the shapes of all tensors, for the batch that is in the file (1 where the
batch is free). They are taken as they stand; when other sizes are asked for, all but
those of constants are dropped and inferred anew.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from flopwise.frontends import Request
from flopwise.graph import Graph

SUFFIXES = (".tflite",)
TABLES = ("control", "layers", "moves", "recurrent")  # each enters its operators


def accepts(source: Any, head: bytes) -> bool:
    """The file identifier at byte 4."""
    return isinstance(source, Path) and head[4:8] == b"TFL3"


def load(source: Path, request: Request) -> Graph:
    """Lower the first sub-graph, and those it calls. Raises UnreadableModel."""
    from flopwise.frontends.tflite import schema
    from flopwise.frontends.tflite.flatbuffer import Flatbuffer
    from flopwise.frontends.tflite.model import Model
    from flopwise.frontends.wire import open_map

    for table in TABLES:
        import_module(f"{__name__}.{table}")
    buffer = Flatbuffer(open_map(source).data, str(source), schema.TABLES)
    return Model(buffer, request).graph(source.stem)
