"""Predicted beside measured times, of networks and of the kernels of one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flopwise.reports import percent
from flopwise.reports.latency import duration
from flopwise.reports.table import grid

NETWORKS = ["network", "predicted", "measured", "error", "likely from", "to", "rounds ±"]
KERNELS = ["layer", "kernel", "predicted", "measured"]


def networks(found: Sequence[Any], width: int | None = None) -> str:
    """One line for each network: `found` are Verified."""
    rows = []
    for one in found:
        low, high = one.prediction.band_s
        rows.append([
            one.prediction.name, duration(one.prediction.latency_s), duration(one.measured_s),
            signed(one.error), duration(low), duration(high), percent(one.scatter),
        ])  # fmt: skip
    inside = len([one for one in found if one.inside])
    last = f"{inside} of {len(found)} measured times in the predicted band"
    return f"{grid(NETWORKS, rows, 1, width)}\n\n{last}"


def kernels(one: Any, width: int | None = None) -> str:
    """The kernels of one network, then the network."""
    rows = [
        [k.name, " ".join(k.operators), duration(k.time_s), "" if t is None else duration(t)]
        for k, t in one.rows()
    ]
    return f"{grid(KERNELS, rows, 2, width)}\n\n{networks([one], width)}"


def signed(share: float) -> str:
    """A relative error with its sign."""
    return f"{share:+.1%}"


def to_json(found: Sequence[Any]) -> str:
    """Networks with their kernels."""
    return json.dumps([_record(one) for one in found], indent=1, ensure_ascii=False)


def _record(one: Any) -> dict[str, Any]:
    p = one.prediction
    return {
        "name": p.name, "device": p.device.slug, "runtime": p.runtime, "latency_s": p.latency_s,
        "band_s": list(p.band_s), "measured_s": one.measured_s, "scatter": one.scatter,
        "error": one.error,
        "layers": [
            {"name": k.name, "op": k.op, "time_s": k.time_s, "measured_s": t, "bound": k.bound}
            for k, t in one.rows()
        ],
    }  # fmt: skip
