"""The same model at many batches, contexts and numbers of devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flopwise.analyses.serving import Serving, on_device, serve
from flopwise.analyses.serving.decoder import Decoder
from flopwise.analyses.serving.families import decoder as read
from flopwise.analyses.serving.plan import Guessing, Plan, planned
from flopwise.analyses.sweep.ranges import grid, parse_varies
from flopwise.devices import Device
from flopwise.errors import UnknownName, nearest

VARIES = {"batch": "batch", "prompt": "prompt", "tokens": "tokens", "tp": "ranks",
          "prefix": "prefix"}  # fmt: skip
COLUMNS = (
    "ttft_s", "tpot_s", "tokens_per_s", "tokens_per_s_per_user", "memory_bytes", "cache_bytes",
    "concurrency", "fits",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """The sizes that vary, and what comes of them."""

    sizes: Mapping[str, int]
    found: Serving

    def row(self) -> dict[str, Any]:
        found, held = self.found, self.found.held
        return {
            **self.sizes,
            "ttft_s": found.ttft,
            "tpot_s": found.tpot,
            "tokens_per_s": found.rate,
            "tokens_per_s_per_user": found.per_user,
            "memory_bytes": held.total(found.plan.batch),
            "cache_bytes": held.sequence * found.plan.batch,
            "concurrency": held.concurrency,
            "fits": found.fits,
        }


def sweep(
    decoder: Decoder, device: Device, plan: Plan, columns: Mapping[str, list[int]],
    guessing: Guessing | None = None,
) -> list[Point]:  # fmt: skip
    """A plan with each point's sizes in it. Raises UnknownName for a size that has no meaning."""
    for name in columns:
        if name not in VARIES:
            raise UnknownName(f"--vary {name}: no such size; {nearest(name, list(VARIES))}")
    rows = [dict(zip(columns, values)) for values in zip(*columns.values())]
    return [
        Point(row, serve(decoder, device, _placed(plan, row), guessing)) for row in rows
    ]  # fmt: skip


def generate_sweep(
    source: Any, vary: Any, device: str | Device, **asked: Any
) -> list[Point]:  # fmt: skip
    """`sweep` for a config.json, at the points that `vary` makes; `asked` is what `planned` takes.
    Raises FlopwiseError."""
    plan, guessing = planned(read, **asked)
    columns = grid(parse_varies(vary))
    return sweep(read(source), on_device(device), plan, columns, guessing)


def _placed(plan: Plan, row: Mapping[str, int]) -> Plan:
    sizes: dict[str, Any] = {VARIES[name]: size for name, size in row.items()}
    return replace(plan, **sizes)
