"""Networks side by side, as text or JSON."""

from __future__ import annotations

import json
from typing import Any

from flopwise.analyses.compare import Difference, Pair, totals
from flopwise.dims import Expr
from flopwise.profile import Line, Profile
from flopwise.reports import exact, shape_text, short
from flopwise.reports.json import plain
from flopwise.reports.table import grid

NAMES = {
    "params": "params", "macs": "MACs", "flops": "FLOPs", "ops": "ops", "value": "value",
    "activations": "activations", "weight_bytes": "weight bytes", "read_bytes": "bytes read",
    "write_bytes": "bytes written",
}  # fmt: skip


def render(
    profiles: list[Profile], names: list[str], pairs: list[Pair] | None,
    difference: Difference | None, width: int | None = None,
) -> str:  # fmt: skip
    """Totals with the change against the first; then layers, where they were aligned."""
    found = [totals(p) for p in profiles]
    rows = []
    for key, title in NAMES.items():
        first = found[0][key]
        cells = [exact(first)]
        for other in found[1:]:
            cells += [exact(other[key]), _change(first, other[key])]
        rows.append([title, *cells])
    heads = ["", names[0]]
    for name in names[1:]:
        heads += [name, "change"]
    blocks = [grid(heads, rows, 1, width)]
    if pairs is not None:
        blocks.append(grid(["layer", "", "params", "MACs", "change"], _layers(pairs), 2, width))
    if difference is not None:
        blocks.append(_difference(difference, names))
    return "\n\n".join(blocks)


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


def to_json(
    profiles: list[Profile], names: list[str], pairs: list[Pair] | None,
    difference: Difference | None,
) -> str:  # fmt: skip
    """The comparison as one object."""
    found: dict[str, Any] = {
        "models": [
            {"name": name, "totals": {k: plain(v) for k, v in totals(p).items()}}
            for name, p in zip(names, profiles)
        ],
        "first_difference": difference and {
            "place": difference.place,
            "before": _layer(difference.before),
            "after": _layer(difference.after),
        },
    }  # fmt: skip
    if pairs is not None:
        found["layers"] = [
            {"before": _layer(p.before), "after": _layer(p.after), "changed": p.changed}
            for p in pairs
        ]
    return json.dumps(found, indent=1, ensure_ascii=False)


def _layer(line: Line | None) -> dict[str, Any] | None:
    if line is None:
        return None
    return {
        "name": line.name, "op": line.op, "params": plain(line.params),
        "macs": plain(line.counts.mac), "ops": plain(line.counts.ops),
        "output_shape": [plain(s) for s in line.shape or ()],
    }  # fmt: skip
