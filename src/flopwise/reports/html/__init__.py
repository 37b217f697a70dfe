"""One HTML file that opens from disk: totals, charts, every layer and its formula.

Everything that is shown in numbers is computed here and embedded; the page only adds up
what its reader selects, and puts sizes in place of symbols.
"""

from __future__ import annotations

import json
import re
from html import escape
from importlib.resources import files
from typing import Any

from flopwise.profile import Profile
from flopwise.reports.card import facts, methods, program, shape, title
from flopwise.reports.html.data import contents

SCRIPTS = (
    "expression",
    "model",
    "formats",
    "charts",
    "scatter",
    "icicle",
    "table",
    "details",
    "page",
)
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def render(profile: Profile, depth: int | None = None, width: int | None = None) -> str:
    """The page, with its data, its styles and its scripts inside. `depth` is how far the
    tree of modules is open at first."""
    slots = {
        "title": escape(title(profile)),
        "program": escape(program()),
        "subtitle": escape(_subtitle(profile)),
        "methods": escape(methods(profile)),
        "card": "\n".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts(profile)),
        "data": _embedded(contents(profile, depth)),
        "style": _text("page.css"),
        "license": _text("vendor/d3.LICENSE"),
        "d3": _text("vendor/d3.min.js"),
        "script": "\n".join(_text(f"{name}.js") for name in SCRIPTS),
    }
    return _SLOT.sub(lambda slot: slots[slot[1]], _text("page.html")).rstrip()


def _subtitle(profile: Profile) -> str:
    inputs = ", ".join(f"{t.name} {shape(t.shape)} {t.dtype}" for t in profile.graph.inputs)
    return " · ".join(filter(None, (profile.graph.format, inputs)))


def _text(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8").rstrip()


def _embedded(value: Any) -> str:
    """JSON that no name of a layer can break out of."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
