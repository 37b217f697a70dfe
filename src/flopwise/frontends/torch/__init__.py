"""PyTorch modules: the operators that their own forward calls, on shapes alone.

Nothing is computed, and the module is left as it was: see `values` (what stays real),
`untouched` (what is put back), `trace` (what is written down), `aten` (what it means).
"""

from __future__ import annotations

import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends import HEAD, Request
from flopwise.frontends.torch import archive
from flopwise.graph import Graph

SUFFIXES: tuple[str, ...] = ()
OPTIONS = ("mode",)
_CALLABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\?.*)?$", re.DOTALL)


def accepts(source: Any, head: bytes) -> bool:
    """A torch.nn.Module, the name of something importable that gives one, or a file of torch's."""
    if isinstance(source, (str, Path)):
        if head:
            return bool(archive.kind(Path(source), head))
        return bool(_CALLABLE.match(str(source))) and not Path(source).exists()
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.nn.Module)


def load(source: Any, request: Request) -> Graph:
    """Trace the forward of a module. Raises UnknownSize where an input is missing, and
    UnreadableModel where the forward itself fails."""
    if isinstance(source, Path) and source.is_file():
        return _of_file(source, request)
    from flopwise.frontends.torch.module import graph
    from flopwise.frontends.torch.source import build

    if isinstance(source, (str, Path)):
        module, values = build(source)
        return graph(module, request, values)
    return graph(source, request)


def _of_file(path: Path, request: Request) -> Graph:
    with path.open("rb") as file:
        written = archive.kind(path, file.read(HEAD))
    if written in archive.INSTEAD:
        raise UnreadableModel(f"{path}: {archive.INSTEAD[written]}")
    if written == "script":
        from flopwise.frontends.torch import script

        return script.graph_of(path, request)
    from flopwise.frontends.torch.exported import graph_of

    return graph_of(path, request)


def densities(source: Any) -> dict[str, Fraction]:
    """The share of non-zero elements of each weight and mask; what is named is built for real."""
    from flopwise.frontends.torch.density import densities as read
    from flopwise.frontends.torch.source import build

    return read(build(source, real=True)[0] if isinstance(source, (str, Path)) else source)
