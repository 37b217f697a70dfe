"""ncnn networks: the text of a .param file; the weights beside it are not needed.

A blob of ncnn has up to four axes, (c, d, h, w) without batch. Ours are led by a batch of
one, which `--batch` changes: 3 x 224 x 224 is 1x3x224x224, a sequence is 1 x steps x
features. Layer parameters mean different axes for blobs of different rank, so ranks are
followed from layer to layer; sizes are not.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from flopwise.frontends import Request
from flopwise.graph import Graph

SUFFIXES = (".param",)
TABLES = ("attention", "detection", "layers", "moves", "pointwise")  # each enters its layers

_FIRST = re.compile(rb"\s*(7767517\s|\d+\s+\d+\s*\n\s*(Input|MemoryData)\s+\S+\s+0\s+1\s)")


def accepts(source: Any, head: bytes) -> bool:
    """The magic number, or in old files two counts and an Input layer."""
    return isinstance(source, Path) and bool(_FIRST.match(head))


def load(source: Path, request: Request) -> Graph:
    """Lower a network. Raises UnreadableModel, or UnknownSize for an input without shape."""
    from flopwise.frontends import read_text
    from flopwise.frontends.ncnn.net import Net
    from flopwise.frontends.ncnn.text import parse

    for table in TABLES:
        import_module(f"{__name__}.{table}")
    return Net(str(source), request).graph(parse(read_text(source), str(source)), source.stem)
