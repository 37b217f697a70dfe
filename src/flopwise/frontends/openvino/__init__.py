"""OpenVINO intermediate representation: the .xml file, and of the .bin only small integers.

The file states the shape of every port. They are taken as they stand; when an axis of an
input is free, or other sizes are asked for, all but those of constants are inferred anew.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from flopwise.frontends import Request
from flopwise.graph import Graph

SUFFIXES = (".xml",)
TABLES = ("control", "layers", "moves", "pointwise", "recurrent", "vision")

_NET = re.compile(rb"^(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<net\s", re.DOTALL)


def accepts(source: Any, head: bytes) -> bool:
    """An XML document whose root is a net."""
    return isinstance(source, Path) and bool(_NET.match(head))


def load(source: Path, request: Request) -> Graph:
    """Lower an IR of version 10 or later. Raises UnreadableModel."""
    from flopwise.frontends.openvino.model import Model
    from flopwise.frontends.openvino.xml import parse

    for table in TABLES:
        import_module(f"{__name__}.{table}")
    return Model(parse(source), source, request).graph(source.stem)
