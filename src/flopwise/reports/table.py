"""The table for a terminal."""

from __future__ import annotations

import io

from flopwise.dims import Expr
from flopwise.profile import Line, Profile
from flopwise.reports import exact, memory, percent, shape_text, short

LONG = 2000  # rows that a terminal's table is laid out for; it takes a second a thousand


def render(profile: Profile, depth: int | None = None, width: int | None = None) -> str:
    rows = [cells(line) for line in profile.lines(depth)]
    free = isinstance(profile.total().mac, Expr)
    return "\n".join([grid(headings(profile), rows, 3, width, fold=free), "", *summary(profile)])


def grid(
    headings: list[str], rows: list[list[str]], texts: int, width: int | None = None,
    fold: bool = False,
) -> str:  # fmt: skip
    """A table whose first `texts` columns are words and the others numbers."""
    if len(rows) > LONG:
        return columns([headings, *rows], texts)
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="")
    for heading in headings[:texts]:
        table.add_column(heading, overflow="fold")
    for heading in headings[texts:]:
        table.add_column(heading, justify="right", no_wrap=not fold, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(file=io.StringIO(), width=width or 100, highlight=False, color_system=None)
    console.print(table)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(row.rstrip() for row in printed.splitlines() if row.strip())


def columns(rows: list[list[str]], texts: int) -> str:
    """Aligned, as wide as it comes: what is so long is read by a pager or a program."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    sides = ["<" if i < texts else ">" for i in range(len(widths))]
    layout = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths))
    return "\n".join([layout.format(*row).rstrip() for row in rows])


def params_text(profile: Profile) -> str:
    """Parameters with their bytes, and those kept apart or not trained, where there are any."""
    details = [memory(profile.weight_bytes)]
    if profile.trainable_params != profile.params:
        details.append(f"{exact(profile.trainable_params)} trainable")
    if profile.buffers != 0:
        details.append(f"{exact(profile.buffers)} in buffers besides")
    if profile.graph.active:
        details.append(f"{exact(profile.parameters.active)} active per token")
    return f"{exact(profile.params)} params ({', '.join(details)})"


def headings(profile: Profile) -> list[str]:
    """The columns of a layer table."""
    return ["layer", "op", "output", "params", "MACs", profile.convention.name, "share"]


def cells(line: Line) -> list[str]:
    """A line as short texts, under the headings."""
    numbers = [short(line.params), short(line.counts.mac), short(line.value)]
    shown = ["" if n == "0" else n for n in numbers]
    if not line.known:
        shown[1:] = [f"{n} + ?" if n else "?" for n in shown[1:]]
    share = percent(line.share) if line.share else ""
    return [line.name, line.op, shape_text(line.shape), *shown, share]


def summary(profile: Profile) -> list[str]:
    """Totals, and what they mean."""
    total, convention = profile.total(), profile.convention
    sizes = [params_text(profile), f"{exact(total.mac)} MACs", f"{exact(total.flops)} FLOPs"]
    joint = ",\n  " if isinstance(total.mac, Expr) else ", "
    lines = [
        f"{profile.graph.name}: {joint.join(sizes)}",
        f"{convention.name}: {exact(profile.value())} ({convention.statement})",
        "input "
        + ", ".join(f"{t.name} {shape_text(t.shape)} {t.dtype}" for t in profile.graph.inputs)
        + ("" if profile.batch is None else f"; batch {profile.batch}")
        + f"; coverage {percent(profile.coverage)} of {len(profile.rows)} operators",
    ]
    missing = profile.not_counted()
    if missing:
        listed = ", ".join(f"{n} x {origin}" for origin, n in missing.items())
        lines.append(f"NOT COUNTED: {listed}")
        shapes = " ".join(f"--input {name}=SHAPE" for name in profile.open_shapes())
        lines += [f"to count what follows: {shapes}"] if shapes else []
    return [*lines, *(f"note: {note}" for note in profile.graph.notes)]
