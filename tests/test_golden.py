"""Golden files: a small model written by hand, and the table that it must give.

tests/golden/<format>/<name>.txt holds a sentence on what it shows, then `---input---`
(lines NAME=SHAPE; may be left out), `---model---` and `---counts---`. Rewrite the counts
with `pytest tests/test_golden.py --update-goldens` and read the difference.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flopwise import api, plugins
from flopwise.pattern import show
from flopwise.profile import Line, Profile

GOLDENS = sorted((Path(__file__).parent / "golden").glob("*/*.txt"))
HEADINGS = ("name", "op", "output", "params", "macs", "ops")


@pytest.mark.parametrize("path", GOLDENS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_golden(path: Path, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    text = path.read_text(encoding="utf-8")
    sections = split(text)
    model = tmp_path / (path.stem + plugins.load("frontends", path.parent.name).SUFFIXES[0])
    model.write_text(sections["model"], encoding="utf-8")
    inputs = dict(line.rsplit("=", 1) for line in sections.get("input", "").split())
    found = table(api.count(model, inputs=inputs))
    if pytestconfig.getoption("--update-goldens"):
        kept = text.partition("---counts---\n")[0]
        path.write_text(f"{kept}---counts---\n{found}", encoding="utf-8")
    else:
        assert found == sections["counts"], f"{path}: read the difference, then --update-goldens"


def split(text: str) -> dict[str, str]:
    """The sections of a golden file by name."""
    parts = re.split(r"^---(\w+)---\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def table(profile: Profile) -> str:
    """One row per operator, and the totals, in columns."""
    total = profile.total()
    last = ("total", f"{profile.coverage:.0%}", "", profile.params, total.mac, total.ops)
    rows = [HEADINGS, *map(cells, profile.lines()), tuple(map(str, last))]
    if profile.buffers != 0:
        rows.append(("buffers", "", "", str(profile.buffers), "", ""))
    widths = [max(map(len, column)) for column in zip(*rows)]
    padded = ("  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in padded)


def cells(line: Line) -> tuple[str, ...]:
    shape = "?" if line.shape is None else show(tuple(line.shape)) or "scalar"
    counts = (line.counts.mac, line.counts.ops) if line.known else ("?", "?")
    return (line.name, line.op, shape, *map(str, (line.params, *counts)))
