"""A compact HTML table for Jupyter."""

from __future__ import annotations

from html import escape

from flopwise.profile import Line, Profile
from flopwise.reports.card import facts, methods
from flopwise.reports.markdown import cells
from flopwise.reports.table import headings

MOST_ROWS = 60


def render(profile: Profile, depth: int | None = None, width: int | None = None) -> str:
    """The layers, folded to the depth at which they fit MOST_ROWS, and the cost card."""
    lines, folded = _lines(profile, depth)
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in headings(profile))
    body = "".join(f"<tr>{_cells(line)}</tr>" for line in lines[:MOST_ROWS])
    hidden = f"<p>{len(lines) - MOST_ROWS} more rows</p>" if len(lines) > MOST_ROWS else ""
    card = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts(profile))
    return (
        f"<div><details open><summary>{escape(methods(profile))}</summary><table>"
        f"<caption>{escape(folded)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>{hidden}</details>"
        f"<details><summary>Cost card</summary><dl>{card}</dl></details></div>"
    )


def _lines(profile: Profile, depth: int | None) -> tuple[list[Line], str]:
    every = profile.lines(depth)
    if depth is not None or len(every) <= MOST_ROWS:
        return every, "layers" if depth is None else f"modules to depth {depth}"
    deepest = max((len(row.node.scope) for row in profile.rows), default=0)
    for level in range(deepest, 0, -1):
        lines = profile.lines(level)
        if len(lines) <= MOST_ROWS:
            return lines, f"modules to depth {level}"
    return every, "layers"


def _cells(line: Line) -> str:
    shown = [escape(text) for text in cells(line)]
    texts = "".join(f'<td style="text-align:left">{t}</td>' for t in shown[:3])
    return texts + "".join(f"<td>{t}</td>" for t in shown[3:])
