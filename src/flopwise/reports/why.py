"""Why networks of like FLOPs take unlike times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flopwise.analyses.roofline import Prediction
from flopwise.analyses.why import Part
from flopwise.reports import percent, short
from flopwise.reports.latency import duration
from flopwise.reports.page import Block, Grid, Page


def page(parts: Sequence[Part], predictions: Sequence[Prediction], names: Sequence[str]) -> Page:
    """A row for each reason: its amount and its time in each network."""
    rows = [[part.name, *_cells(part)] for part in parts if part.adds]
    rows.append(["latency", *(duration(p.latency_s) for p in predictions)])
    rows += [[part.name, *_cells(part)] for part in parts if not part.adds]
    first = predictions[0]
    last = f"on {first.device.name}, {first.runtime}; efficiencies: {first.source}"
    told = record(parts, predictions, names)
    blocks: list[Block] = [Grid(["where the time goes", *names], rows), last]
    return Page(" and ".join(names), blocks, told, told["why"])


def _cells(part: Part) -> list[str]:
    """Seconds and amount of each network."""
    cells = []
    for amount, seconds in zip(part.amounts, part.seconds):
        share = part.unit.startswith("of ")
        text = percent(amount) + f" {part.unit}" if share else f"{short(amount)}{part.unit}"
        cells.append(f"{duration(seconds)}: {text}" if seconds else text)
    return cells


def record(
    parts: Sequence[Part], predictions: Sequence[Prediction], names: Sequence[str]
) -> dict[str, Any]:
    """Latencies by network, and the reasons."""
    return {
        "device": predictions[0].device.slug,
        "runtime": predictions[0].runtime,
        "models": [{"name": n, "latency_s": p.latency_s} for n, p in zip(names, predictions)],
        "why": [
            {"name": p.name, "unit": p.unit, "amounts": list(p.amounts),
             "seconds": list(p.seconds), "adds": p.adds} for p in parts
        ],
    }  # fmt: skip
