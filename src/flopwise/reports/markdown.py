"""A GitHub table, the cost card and a sentence to cite."""

from __future__ import annotations

import re

from flopwise.profile import Line, Profile
from flopwise.reports import percent, short
from flopwise.reports.card import facts, methods, shape, title
from flopwise.reports.table import headings

MARKS = re.compile(r"[\\`*\[\]<|~$]|(?<!\w)_|_(?!\w)")


def render(profile: Profile, depth: int | None = None, width: int | None = None) -> str:
    total = [short(n) for n in (profile.params, profile.total().mac, profile.value())]
    rows = [
        headings(profile),
        [*[":--"] * 3, *["--:"] * 4],
        *([*map(escape, cells(line))] for line in profile.lines(depth)),
        ["**total**", "", "", *(f"**{escape(n)}**" for n in total), ""],
    ]
    card = [f"- **{escape(label)}:** {escape(text)}" for label, text in facts(profile)]
    table = ["| " + " | ".join(row) + " |" for row in rows]
    heading = f"## {escape(title(profile))}"
    return "\n".join([heading, "", *table, "", *card, "", f"> {escape(methods(profile))}"])


def cells(line: Line) -> list[str]:
    """A line under the headings; what is not counted is a question mark, never a zero."""
    unknown = not line.known and not line.counts.items()
    more = "" if line.known else "≥ "
    numbers = [short(line.params), *(more + short(n) for n in (line.counts.mac, line.value))]
    shown = ["" if n == "0" else n for n in numbers]
    shown[1:] = ["?", "?"] if unknown else shown[1:]
    size = "?" if line.shape is None else shape(line.shape)
    return [line.name, line.op, size, *shown, percent(line.share) if line.share else ""]


def escape(text: str) -> str:
    """Text in which nothing is a mark to Markdown."""
    return MARKS.sub(r"\\\g<0>", " ".join(text.split()))
