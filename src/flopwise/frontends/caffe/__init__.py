"""Caffe networks: prototxt text of either generation, and of the well-known forks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from flopwise.frontends import Request, read_text
from flopwise.frontends.caffe.layers import LAYERS, data_shapes, unknown
from flopwise.frontends.caffe.net import Net, Vocabulary
from flopwise.frontends.prototext import parse
from flopwise.graph import Graph

SUFFIXES = (".prototxt", ".pt.txt")


def accepts(source: Any, head: bytes) -> bool:
    """Text that opens a layer or names an input."""
    return isinstance(source, Path) and bool(
        re.search(rb"(?m)^\s*(layers?\s*:?\s*\{|input_dim\s*:)", head)
    )


def load(source: Path, request: Request) -> Graph:
    """Lower a deploy or train_val prototxt; train_val is read in the TEST phase."""
    message = parse(read_text(source), str(source), {"layers": "layer"})  # as old files say
    phase = request.options.get("phase", "TEST")
    return Net(message, phase, Vocabulary(LAYERS, unknown, data_shapes)).graph(source)
