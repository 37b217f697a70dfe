"""Keras models: the configuration in a .keras archive, an .h5 file, or a .json text.

It is data: nothing is built, and no lambda is unpacked. In an HDF5 file the configuration
is one piece of JSON, which is searched for, so that h5py is not needed; weights have the
shapes that the layers give them.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from flopwise.frontends import Request
from flopwise.graph import Graph

SUFFIXES = (".keras", ".h5", ".hdf5")
TABLES = ("arithmetic", "convolutions", "moves", "recurrent")  # each enters its layers


def accepts(source: Any, head: bytes) -> bool:
    """An HDF5 file, an archive with a config.json, or JSON that opens a model."""
    if not isinstance(source, Path):
        return False
    if head.startswith(b"PK\x03\x04"):
        return source.suffix.lower() == ".keras"
    return head.startswith(b"\x89HDF\r\n\x1a\n") or _opens_model(head)


def _opens_model(head: bytes) -> bool:
    from flopwise.frontends.keras.config import OPENING

    return bool(OPENING.match(head.lstrip()))


def load(source: Path, request: Request) -> Graph:
    """Lower a model. Raises UnreadableModel."""
    from flopwise.frontends.keras.config import read
    from flopwise.frontends.keras.model import Model

    for table in TABLES:
        import_module(f"{__name__}.{table}")
    return Model(str(source)).graph(read(source), source.stem)
