"""A memory analysis, with a timeline."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from flopwise.analyses.memory import Memory
from flopwise.reports import memory as size
from flopwise.reports.json import plain
from flopwise.reports.page import Page

HEIGHTS = " ▁▂▃▄▅▆▇█"
COLUMNS = 72


def page(found: Memory, name: str) -> Page:
    """Totals, what lives at the peak, and the live bytes over time."""
    told = record(found)
    return Page(f"Memory of {name}", ["\n".join(_lines(found, name))], told, told["timeline"])


def _lines(found: Memory, name: str) -> list[str]:
    dtypes = ", ".join(f"{size(b)} {d}" for d, b in found.by_dtype.items())
    lines = [
        f"{name}: peak {size(found.peak_bytes)}",
        f"  weights            {size(found.weights_bytes)} ({dtypes})",
        f"  activations, peak  {size(found.peak_activation_bytes)} at {found.peak_at}",
        f"  feature memory     {size(found.feature_bytes)} (every output kept)",
        "  alive at the peak  " + ", ".join(f"{n} {size(b)}" for n, b in found.live_at_peak[:6]),
    ]
    picture = bars([m.live_bytes for m in found.timeline], found.peak_activation_bytes)
    return [*lines, "", *picture] if picture else lines


def bars(live: Sequence[Any], highest: Any) -> list[str]:
    """Live bytes over the operators in order, as a row of bars."""
    if not live or not isinstance(highest, int) or highest == 0:
        return []
    edges = [i * len(live) // COLUMNS for i in range(COLUMNS + 1)]
    tops: list[Any] = [max(live[a:b]) for a, b in pairwise(edges) if b > a]
    row = "".join(HEIGHTS[round(top / highest * (len(HEIGHTS) - 1))] for top in tops)
    return [f"  {row}", f"  first operator … last ({len(live)}); full height {size(highest)}"]


def record(found: Memory) -> dict[str, Any]:
    """The analysis with its stable keys."""
    return {
        "weights_bytes": plain(found.weights_bytes),
        "peak_activation_bytes": plain(found.peak_activation_bytes),
        "peak_bytes": plain(found.peak_bytes),
        "peak_at": found.peak_at,
        "live_at_peak": [{"name": n, "bytes": plain(b)} for n, b in found.live_at_peak],
        "feature_bytes": plain(found.feature_bytes),
        "by_dtype": {d: plain(b) for d, b in found.by_dtype.items()},
        "timeline": [
            {"name": m.name, "op": m.op, "live_bytes": plain(m.live_bytes)} for m in found.timeline
        ],
    }
