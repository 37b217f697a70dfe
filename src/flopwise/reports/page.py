"""What an analysis found, in every form: text and tables for readers, a record for programs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape as html_text
from importlib.resources import files
from typing import Any, TypeAlias

from flopwise.errors import UnknownName, nearest
from flopwise.reports.latex import escape as latex_text
from flopwise.reports.markdown import escape as markdown_text
from flopwise.reports.table import grid


@dataclass(frozen=True)
class Grid:
    """A table whose first `texts` columns are words and the others numbers."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1


Block: TypeAlias = str | Grid


@dataclass(frozen=True)
class Page:
    """`blocks` are set one under the other, text as it is laid out. `record` is the JSON, `rows`
    are the CSV; without any, what the record holds is, one number a line."""

    title: str
    blocks: Sequence[Block]
    record: Any
    rows: Sequence[Mapping[str, Any]] = ()


def render(page: Page, fmt: str = "table", width: int | None = None) -> str:
    """Raises UnknownName for a format that there is not."""
    if fmt == "table":
        return "\n\n".join(
            b if isinstance(b, str) else grid([*b.headings], [*map(list, b.rows)], b.texts, width)
            for b in page.blocks
        )
    if fmt not in FORMS:
        raise UnknownName(f"no format '{fmt}'; {nearest(fmt, ['table', *FORMS])}")
    return FORMS[fmt](page)


def to_json(page: Page) -> str:
    return json.dumps(page.record, indent=1, ensure_ascii=False, default=str)


def to_csv(page: Page) -> str:
    """Exact numbers; what lies deeper has the name of its place, a list stands as JSON."""
    rows = page.rows or [{"name": k, "value": v} for k, v in _flat(page.record)]
    flat = [dict(_flat(row)) for row in rows]
    text = io.StringIO()
    columns = dict.fromkeys(name for row in flat for name in row)
    # What is missing in some rows stands in others in parts: "before" as "before.name" and so on.
    whole = [c for c in columns if not any(other.startswith(f"{c}.") for other in columns)]
    writer = csv.DictWriter(text, whole, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue().rstrip("\n")


def _flat(record: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{place}{key}.")
        elif isinstance(value, (list, tuple, bool)):
            yield place + key, json.dumps(value, ensure_ascii=False, default=str)
        else:
            yield place + key, value


def markdown(page: Page) -> str:
    """GitHub tables, and text in fences."""
    return "\n\n".join([f"## {markdown_text(page.title)}", *map(_markdown, page.blocks)])


def _markdown(block: Block) -> str:
    if isinstance(block, str):
        return f"```text\n{block}\n```"
    marks = [":--" if i < block.texts else "--:" for i in range(len(block.headings))]
    rows = [map(markdown_text, block.headings), marks, *(map(markdown_text, r) for r in block.rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def latex(page: Page) -> str:
    """Booktabs tables; text line by line in a typewriter face."""
    title = f"% {' '.join(page.title.split())}; \\usepackage{{booktabs}}"
    return "\n\n".join([title, *map(_latex, page.blocks)])


def _latex(block: Block) -> str:
    if isinstance(block, str):
        lines = " \\\\\n".join(map(_typed, block.splitlines()))
        return f"\\begin{{flushleft}}\\ttfamily\n{lines}\n\\end{{flushleft}}"
    columns = "".join("l" if i < block.texts else "r" for i in range(len(block.headings)))
    heads, *rows = (" & ".join(map(latex_text, row)) + r" \\" for row in _all(block))
    begin = [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", heads, r"\midrule"]
    return "\n".join([*begin, *rows, r"\bottomrule", r"\end{tabular}"])


def _typed(line: str) -> str:
    """A line that keeps its indentation and its columns."""
    parts = re.split("(^ +| {2,})", line)
    return "".join(p.replace(" ", "~") if p.isspace() else latex_text(p) for p in parts) or "~"


def _all(block: Grid) -> list[Sequence[str]]:
    return [block.headings, *block.rows]


def html(page: Page) -> str:
    """One file that opens from disk, light or dark as its reader's system is."""
    style = files("flopwise.reports.html").joinpath("page.css").read_text(encoding="utf-8")
    title = html_text(page.title)
    head = f'<meta charset="utf-8">\n<title>{title}</title>\n<style>\n{style}</style>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    body = "\n".join([f"<h1>{title}</h1>", *map(_html, page.blocks)])
    return (
        f'<!doctype html>\n<html lang="en" data-theme="auto">\n<head>\n{head}\n{view}\n</head>\n'
        f'<body class="plain">\n{body}\n</body>\n</html>'
    )


def _html(block: Block) -> str:
    if isinstance(block, str):
        return f"<pre>{html_text(block)}</pre>"
    heads, *rows = (
        "<tr>" + "".join(_html_cell(c, i < block.texts, head) for i, c in enumerate(row)) + "</tr>"
        for head, row in zip([True] + [False] * len(block.rows), _all(block))
    )
    body = "\n".join(rows)
    return f"<div><table>\n<thead>{heads}</thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"


def _html_cell(text: str, word: bool, head: bool) -> str:
    tag = "th" if head else "td"
    kind = "" if word else ' class="number"'
    return f"<{tag}{kind}>{html_text(text)}</{tag}>"


FORMS: dict[str, Callable[[Page], str]] = {
    "json": to_json, "csv": to_csv, "markdown": markdown, "latex": latex, "html": html,
}  # fmt: skip
