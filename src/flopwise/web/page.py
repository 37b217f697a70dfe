"""The page, with its choices filled in."""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files

from flopwise import plugins
from flopwise.reports import memory
from flopwise.reports.card import program
from flopwise.web.upload import readable

# The report's styles come first: the page has the same colours and type.
PARTS = {
    "/look.css": ("text/css", "flopwise.reports.html", "page.css"),
    "/page.css": ("text/css", "flopwise.web", "page.css"),
    "/page.js": ("text/javascript", "flopwise.web", "page.js"),
}
FIRST = ("flops", "macs", "ops")
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def part(path: str) -> tuple[str, str]:
    """The type and the text of a part of the page."""
    kind, package, name = PARTS[path]
    return kind, files(package).joinpath(name).read_text(encoding="utf-8")


def html(secret: str, limit: int) -> str:
    """The page for one server, which knows it by the secret."""
    slots = {
        "program": escape(program()),
        "secret": secret,
        "limit": str(limit),
        "most": memory(limit),
        "formats": escape(", ".join(readable())),
        "conventions": "\n".join(_option(name) for name in _conventions()),
    }
    text = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    return _SLOT.sub(lambda slot: slots[slot[1]], text)


def _conventions() -> list[str]:
    return sorted(plugins.available("conventions"), key=lambda n: (n not in FIRST, n))


def _option(name: str) -> str:
    statement = plugins.load("conventions", name).statement
    return (
        f'<option value="{escape(name)}"{" selected" if name == "flops" else ""} '
        f'title="{escape(statement)}">{escape(name)}</option>'
    )
