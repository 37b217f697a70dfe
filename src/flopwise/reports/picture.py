"""A drawing as a file: SVG as it is, within an HTML page, or as PNG."""

from __future__ import annotations

from html import escape
from pathlib import Path

from flopwise.errors import FlopwiseError, MissingPackage

SUFFIXES = (".svg", ".html", ".png")
SCALE = 2.0  # dots of a PNG for one of the drawing


def encoded(svg: str, title: str, suffix: str) -> bytes:
    """The drawing as a file of that suffix holds it. Raises FlopwiseError for another one, and
    MissingPackage where a PNG cannot be made."""
    if suffix == ".svg":
        return f"{svg}\n".encode()
    if suffix == ".html":
        head = (
            f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        )
        return f"{head}\n<body>{svg}</body></html>\n".encode()
    if suffix != ".png":
        raise FlopwiseError(f"a plot is a file .svg, .html or .png, not '{suffix}'")
    try:
        from cairosvg import svg2png
    except (ImportError, OSError):  # OSError: without the cairo library
        raise MissingPackage("a plot as PNG needs cairosvg: pip install cairosvg") from None
    made: bytes = svg2png(bytestring=svg.encode(), scale=SCALE)
    return made


def write(svg: str, title: str, path: Path) -> None:
    """Raises FlopwiseError, too where the file cannot be written."""
    content = encoded(svg, title, path.suffix)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise FlopwiseError(f"{path}: {error.strerror}") from None
