"""A predicted latency."""

from __future__ import annotations

from typing import Any

from flopwise.analyses.roofline import Kernel, Prediction
from flopwise.reports import percent, short
from flopwise.reports.page import Block, Grid, Page

HEADINGS = ["layer", "kernel", "bound by", "FLOPs", "bytes", "time", "share"]


def duration(seconds: float) -> str:
    """Four digits with a unit."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale:
            return f"{seconds / scale:.4g} {unit}"
    return f"{seconds / 1e-9:.4g} ns"


def page(found: Prediction) -> Page:
    """The kernels, then the total with its band, what bounds it, and where that is from."""
    rows = [_row(k, found.latency_s) for k in found.kernels]
    low, high = found.band_s
    bounds = ", ".join(
        f"{percent(t / (found.latency_s or 1))} {b}" for b, t in found.seconds.items() if t
    )
    lines = [
        f"{found.name} on {found.device.name}, {found.runtime}, {found.dtype}",
        f"latency {duration(found.latency_s)}, likely {duration(low)} to {duration(high)}",
        f"bound by {found.bound} ({bounds}); {len(found.kernels)} kernels",
        f"efficiencies: {found.source}",
        *(f"note: {note}" for note in found.notes),
    ]
    told = record(found)
    blocks: list[Block] = [Grid(HEADINGS, rows, 3), "\n".join(lines)]
    return Page(f"{found.name} on {found.device.name}", blocks, told, told["layers"])


def _row(kernel: Kernel, total: float) -> list[str]:
    share = percent(kernel.time_s / total) if total else ""
    steps = " ".join(kernel.operators)
    return [
        kernel.name, steps, kernel.bound, short(kernel.flops), short(kernel.bytes),
        duration(kernel.time_s), share,
    ]  # fmt: skip


def record(found: Prediction) -> dict[str, Any]:
    """The prediction with its stable keys."""
    return {
        "device": found.device.slug,
        "device_name": found.device.name,
        "device_status": found.device.status,
        "runtime": found.runtime,
        "dtype": found.dtype,
        "latency_s": found.latency_s,
        "band_s": list(found.band_s),
        "bound": found.bound,
        "seconds": found.seconds,
        "flops": found.flops,
        "bytes": found.bytes,
        "source": found.source,
        "notes": list(found.notes),
        "layers": [
            {
                "name": k.name, "op": k.op, "time_s": k.time_s, "bound": k.bound,
                "operators": list(k.operators), "flops": k.flops, "bytes": k.bytes,
                "compute_s": k.compute_s, "memory_s": k.memory_s, "overhead_s": k.overhead_s,
            }
            for k in found.kernels
        ],
    }  # fmt: skip
