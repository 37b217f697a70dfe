"""Networks side by side."""

from __future__ import annotations

from typing import Any

from flopwise.analyses.compare import Comparison, Difference, Pair
from flopwise.dims import Expr
from flopwise.profile import Line
from flopwise.reports import exact, shape_text, short
from flopwise.reports.json import plain
from flopwise.reports.page import Block, Grid, Page

NAMES = {
    "params": "params", "macs": "MACs", "effective_macs": "effective MACs", "flops": "FLOPs",
    "ops": "ops", "value": "value", "activations": "activations", "weight_bytes": "weight bytes",
    "read_bytes": "bytes read", "write_bytes": "bytes written",
}  # fmt: skip


def page(found: Comparison) -> Page:
    """Totals with the change against the first; then layers, where they were aligned."""
    blocks: list[Block] = [_totals(found)]
    if found.pairs is not None:
        headings = ["layer", "", "params", "MACs", "change"]
        blocks.append(Grid(headings, _layers(found.pairs), 2))
    if found.difference is not None:
        blocks.append(_difference(found.difference, found.names))
    told = record(found)
    return Page(" and ".join(found.names), blocks, told, told.get("layers") or told["models"])


def _totals(found: Comparison) -> Grid:
    names, rows = found.names, []
    for key in found.totals[0]:
        first = found.totals[0][key]
        cells = [exact(first)]
        for other in found.totals[1:]:
            cells += [exact(other[key]), _change(first, other[key])]
        rows.append([NAMES[key], *cells])
    heads = ["", names[0]]
    for name in names[1:]:
        heads += [name, "change"]
    return Grid(heads, rows)


def _change(before: Any, after: Any) -> str:
    if isinstance(before, Expr) or isinstance(after, Expr) or not before:
        return "" if before == after else "differs"
    return "=" if before == after else f"{(after - before) / before:+.2%}"


def _layers(pairs: list[Pair]) -> list[list[str]]:
    rows = []
    for pair in pairs:
        before, after = pair.before, pair.after
        line = after or before
        if line is None:
            continue
        mark = "+" if before is None else "-" if after is None else "~" if pair.changed else ""
        macs = _both(before, after, lambda x: x.counts.mac)
        share = _change(before.counts.mac, after.counts.mac) if before and after and mark else ""
        rows.append([line.name, mark, _both(before, after, lambda x: x.params), macs, share])
    return rows


def _both(before: Line | None, after: Line | None, read: Any) -> str:
    left, right = (short(read(x)) if x is not None else "-" for x in (before, after))
    same = "" if left in ("0", "-") else left
    return same if left == right or {left, right} == {"0", "-"} else f"{left} -> {right}"


def _difference(found: Difference, names: list[str]) -> str:
    sides = zip(names, (found.before, found.after))
    said = "; ".join(f"{name}: {_told(line)}" for name, line in sides)
    return f"first difference, contraction {found.place}: {said}"


def _told(line: Line | None) -> str:
    if line is None:
        return "has no more"
    costs = f"{exact(line.counts.mac)} MACs, {exact(line.params)} params"
    return f"{line.name} ({line.op}, {shape_text(line.shape)}), {costs}"


def record(found: Comparison) -> dict[str, Any]:
    """The JSON."""
    difference = found.difference
    told: dict[str, Any] = {
        "models": [
            {"name": name, "totals": {k: plain(v) for k, v in totals.items()}}
            for name, totals in zip(found.names, found.totals)
        ],
        "first_difference": difference and {
            "place": difference.place,
            "before": _layer(difference.before),
            "after": _layer(difference.after),
        },
    }  # fmt: skip
    if found.pairs is not None:
        told["layers"] = [
            {"before": _layer(p.before), "after": _layer(p.after), "changed": p.changed}
            for p in found.pairs
        ]
    return told


def _layer(line: Line | None) -> dict[str, Any] | None:
    if line is None:
        return None
    return {
        "name": line.name, "op": line.op, "params": plain(line.params),
        "macs": plain(line.counts.mac), "ops": plain(line.counts.ops),
        "output_shape": [plain(s) for s in line.shape or ()],
    }  # fmt: skip
