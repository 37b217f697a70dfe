"""Darknet networks: the cfg files of pjreddie's and AlexeyAB's Darknet.

The weights are those that a .weights file stores: biases, scales, rolling means and
variances, kernels. `batch`, `subdivisions` and `time_steps` are settings of a training
run, which Darknet itself sets to 1 to run a network: one image is counted, or one step
of one sequence. A row of the input of a recurrent network is one step of one sequence.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from flopwise.frontends import Request, read_text
from flopwise.graph import Graph

SUFFIXES = (".cfg",)


def accepts(source: Any, head: bytes) -> bool:
    """Text whose first section is [net] or [network]."""
    opened = re.match(rb"(\xef\xbb\xbf)?(\s*|[#;][^\n]*\n)*\[(net|network)\]", head)
    return isinstance(source, Path) and bool(opened)


def load(source: Path, request: Request) -> Graph:
    """Lower a cfg. Raises UnreadableModel naming the line or the layer."""
    from flopwise.frontends.darknet import heads, layers, recurrent  # noqa: F401
    from flopwise.frontends.darknet.cfg import parse
    from flopwise.frontends.darknet.lowering import Net

    return Net(parse(read_text(source), str(source))).graph(source)
