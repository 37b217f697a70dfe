"""MXNet symbols: the JSON of `Symbol.save` and `HybridBlock.export`, of any version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from flopwise.frontends import Request, read_text
from flopwise.graph import Graph

SUFFIXES = ("-symbol.json",)


def accepts(source: Any, head: bytes) -> bool:
    """A JSON object that opens a list of nodes with an operator and inputs; or the name."""
    if not isinstance(source, Path):
        return False
    opened = re.match(rb'(\xef\xbb\xbf)?\s*\{\s*"nodes"\s*:\s*\[', head)
    return bool(opened and b'"op"' in head) or source.name.endswith(SUFFIXES)


def load(source: Path, request: Request) -> Graph:
    """Lower what the heads of a symbol depend on; labels that only a loss reads vanish."""
    from flopwise.frontends.mxnet import layers, mathematics, quantized, tensors, vision  # noqa: F401
    from flopwise.frontends.mxnet.lowering import Net
    from flopwise.frontends.mxnet.symbol import parse

    return Net(parse(read_text(source), str(source)), request).graph(source)
