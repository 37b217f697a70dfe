"""Predicted beside measured times, of networks and of the kernels of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flopwise.reports import percent
from flopwise.reports.latency import duration
from flopwise.reports.page import Block, Grid, Page

NETWORKS = ["network", "predicted", "measured", "error", "likely from", "to", "rounds ±"]
KERNELS = ["layer", "kernel", "predicted", "measured"]


def networks(found: Sequence[Any]) -> Page:
    """One line for each network: `found` are Verified."""
    rows = [_record(one) for one in found]
    return Page("Predicted and measured", _networks(found), rows, rows)


def _networks(found: Sequence[Any]) -> list[Block]:
    rows = []
    for one in found:
        low, high = one.prediction.band_s
        rows.append([
            one.prediction.name, duration(one.prediction.latency_s), duration(one.measured_s),
            signed(one.error), duration(low), duration(high), percent(one.scatter),
        ])  # fmt: skip
    inside = len([one for one in found if one.inside])
    last = f"{inside} of {len(found)} measured times in the predicted band"
    return [Grid(NETWORKS, rows), last]


def kernels(one: Any) -> Page:
    """The kernels of one network, then the network."""
    rows = [
        [k.name, " ".join(k.operators), duration(k.time_s), "" if t is None else duration(t)]
        for k, t in one.rows()
    ]
    told = _record(one)
    blocks = [Grid(KERNELS, rows, 2), *_networks([one])]
    return Page(f"{one.prediction.name}, predicted and measured", blocks, [told], told["layers"])


def signed(share: float) -> str:
    """A relative error with its sign."""
    return f"{share:+.1%}"


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
