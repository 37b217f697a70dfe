"""Why networks of like FLOPs take unlike times, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from flopwise.analyses.roofline import Prediction
from flopwise.analyses.why import Part
from flopwise.reports import percent, short
from flopwise.reports.latency import duration
from flopwise.reports.table import grid


def render(
    parts: Sequence[Part], predictions: Sequence[Prediction], names: Sequence[str],
    width: int | None = None,
) -> str:  # fmt: skip
    """A row for each reason: its amount and its time in each network."""
    rows = [[part.name, *_cells(part)] for part in parts if part.adds]
    rows.append(["latency", *(duration(p.latency_s) for p in predictions)])
    rows += [[part.name, *_cells(part)] for part in parts if not part.adds]
    first = predictions[0]
    last = f"on {first.device.name}, {first.runtime}; efficiencies: {first.source}"
    return f"{grid(['where the time goes', *names], rows, 1, width)}\n\n{last}"


def _cells(part: Part) -> list[str]:
    """Seconds and amount of each network."""
    cells = []
    for amount, seconds in zip(part.amounts, part.seconds):
        share = part.unit.startswith("of ")
        text = percent(amount) + f" {part.unit}" if share else f"{short(amount)}{part.unit}"
        cells.append(f"{duration(seconds)}: {text}" if seconds else text)
    return cells


def to_json(parts: Sequence[Part], predictions: Sequence[Prediction], names: Sequence[str]) -> str:
    """Latencies by network, and the reasons."""
    record = {
        "device": predictions[0].device.slug,
        "runtime": predictions[0].runtime,
        "models": [{"name": n, "latency_s": p.latency_s} for n, p in zip(names, predictions)],
        "why": [
            {"name": p.name, "unit": p.unit, "amounts": list(p.amounts),
             "seconds": list(p.seconds), "adds": p.adds} for p in parts
        ],
    }  # fmt: skip
    return json.dumps(record, indent=1, ensure_ascii=False)
