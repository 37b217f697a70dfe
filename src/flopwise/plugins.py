"""Entry points: the only discovery. Built-ins come in through the same door as strangers'."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from flopwise.errors import UnknownName, nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@cache
def available(axis: str) -> dict[str, EntryPoint]:
    """The entry points of an axis (ops, frontends, conventions, devices, reports) by name."""
    from importlib.metadata import entry_points  # a third of the time of `import flopwise`

    found = {e.name: e for e in entry_points(group=f"flopwise.{axis}")}
    if not found:
        raise UnknownName(
            f"flopwise finds no {axis}: it must be installed to be run (pip install -e .)"
        )
    return found


def load(axis: str, name: str) -> Any:
    """Import one plug-in. Raises UnknownName with the nearest names."""
    names = available(axis)
    if name not in names:
        raise UnknownName(f"no {axis.rstrip('s')} '{name}'; {nearest(name, list(names))}")
    return names[name].load()


def load_all(axis: str) -> dict[str, Any]:
    """Import every plug-in of an axis."""
    return {name: entry.load() for name, entry in available(axis).items()}
