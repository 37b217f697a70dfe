"""A sweep: one row per point."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from flopwise.analyses.sweep import COLUMNS, Sweep
from flopwise.dims import symbols
from flopwise.reports import exact, memory, page, short
from flopwise.reports.json import plain
from flopwise.reports.page import Block, Grid, Page

SHOWN = ("params", "macs", "value", "peak_bytes")


def render(found: Sweep, fmt: str, width: int | None = None) -> str:
    """Raises UnknownName for a format that there is not."""
    if fmt in ("json", "csv"):
        return to_json(found) if fmt == "json" else to_csv(found)
    name = found.profile.graph.name
    blocks: list[Block] = [Grid(_headings(found), _cells(found), 0), _summary(found)]
    return page.render(Page(f"{len(found):,} points of {name}", blocks, {}), fmt, width)


def _summary(found: Sweep) -> str:
    """The totals in letters."""
    lines = [f"{len(found):,} points of {found.profile.graph.name}"]
    lines += [f"  {what} = {exact(size)}" for what, size in _told(found)]
    missing = found.profile.not_counted()
    if missing:
        listed = ", ".join(f"{n} x {origin}" for origin, n in missing.items())
        lines.append(f"NOT COUNTED: {listed}")
    return "\n".join([*lines, *(f"note: {note}" for note in notes(found))])


def notes(found: Sweep) -> list[str]:
    """What a reader has to know of the points, and what the model says of itself."""
    weights = sorted(symbols(found.formulas.get("params", 0)))
    said = [f"the weights depend on {', '.join(weights)}: each is another network"]
    return [*(said if weights else []), *found.profile.graph.notes]


def _told(found: Sweep) -> list[tuple[str, Any]]:
    name, formulas = found.profile.convention.name, found.formulas
    told = {"params": "params", "macs": "macs", "value": name}
    if name in ("macs", "flops"):
        del told["value"]  # as told by the MACs
    return [(word, formulas[what]) for what, word in told.items() if what in formulas]


def _headings(found: Sweep) -> list[str]:
    return [*found.varied, "params", "MACs", found.profile.convention.name, "peak memory"]


def _cells(found: Sweep) -> list[list[str]]:
    return [
        [*(str(row[n]) for n in found.varied), *(short(row[n]) for n in SHOWN[:3]),
         memory(row["peak_bytes"])]
        for row in found.rows()
    ]  # fmt: skip


def to_csv(found: Sweep) -> str:
    """Exact numbers; `convention` says what `value` is."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*found.columns, "convention"])
    name = found.profile.convention.name
    writer.writerows([*map(plain, values), name] for values in zip(*found.columns.values()))
    return text.getvalue().rstrip("\n")


def to_json(found: Sweep) -> str:
    """One object; a line for each point."""
    head = {
        "schema": "flopwise-sweep/1",
        "model": {"name": found.profile.graph.name, "format": found.profile.graph.format},
        "convention": found.profile.convention.name,
        "runtime": found.runtime,
        "varied": list(found.varied),
        "columns": [*found.varied, *COLUMNS],
        "formulas": {name: plain(size) for name, size in found.formulas.items()},
        "coverage": found.profile.coverage,
        "unknown": [{"origin": o, "count": n} for o, n in found.profile.not_counted().items()],
        "notes": notes(found),
    }
    text = json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}")
    points = [json.dumps({k: plain(v) for k, v in row.items()}) for row in found.rows()]
    return f'{text},\n "points": [\n  {("," + chr(10) + "  ").join(points)}\n ]\n}}'
