"""What the page shows, as plain lists: one entry per layer, each text stored once."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

from flopwise import ops, plugins
from flopwise.analyses.explain import Formula, explain_row, readings, spell
from flopwise.conventions import Convention
from flopwise.dims import symbols
from flopwise.errors import FlopwiseError
from flopwise.graph import Node, Tensor
from flopwise.profile import Profile, Row
from flopwise.reports.card import program, shape
from flopwise.reports.json import plain

SAFE = 2**53 - 1  # the largest whole number that JavaScript holds exactly


class Pool(dict[Any, int]):
    """Distinct things in order of appearance; looking one up enters it."""

    def __missing__(self, key: Any) -> int:
        self[key] = len(self)
        return self[key]


def contents(profile: Profile, depth: int | None = None) -> dict[str, Any]:
    """The profile in every convention that can read it."""
    values, texts, total = Pool(), Pool(), profile.total()
    told = [(p, c) for p in every(profile) if (c := _reading(p, values)) is not None]
    formulas, place = _formulas([p for p, _ in told], texts)
    layers = [_layer(row, texts) for row in profile.rows]
    return {
        "program": program(),
        "depth": depth,
        "conventions": [c for _, c in told],
        "convention": profile.convention.name,
        "values": [list(column) for column in values],
        "totals": {
            "params": number(profile.params),
            "macs": number(total.mac),
            "bytes": number(total.bytes),
            "weightBytes": number(profile.weight_bytes),
        },
        "unknown": profile.not_counted(),
        "symbols": _symbols(profile),
        "notes": list(profile.graph.notes),
        "layers": {key: [layer[key] for layer in layers] for key in (layers or [{}])[0]},
        "formulas": formulas,
        "formula": place,
        "ops": {op: _meaning(op) for op in sorted({r.node.op for r in profile.rows})},
        "texts": list(texts),
    }


def _symbols(profile: Profile) -> list[str]:
    """The free sizes: those of the inputs, then those that come from inside."""
    amounts = [amount for _, amount in profile.total().items()]
    sizes = [size for tensor in profile.graph.inputs for size in tensor.sizes]
    return list(
        dict.fromkeys(s for a in (*sizes, profile.params, *amounts) for s in sorted(symbols(a)))
    )


def every(profile: Profile) -> list[Profile]:
    """The profile in its own convention, then in each of the others."""
    loaded = plugins.load_all("conventions").values()
    others = sorted((c for c in loaded if c.name != profile.convention.name), key=_order)
    return [profile, *(replace(profile, convention=c) for c in others)]


def _order(convention: Convention) -> tuple[bool, str]:
    """Those that need no tool come first."""
    return convention.name not in ("macs", "flops", "ops"), convention.name


def _reading(profile: Profile, values: Pool) -> dict[str, Any] | None:
    """One convention: its words, its total and its column; None where it cannot read."""
    convention = profile.convention
    try:
        column = tuple(number(profile.value_of(row)) for row in profile.rows)
        total = number(profile.value())
    except FlopwiseError:
        return None
    return {
        "name": convention.name, "statement": convention.statement, "url": convention.url,
        "version": convention.version, "total": total, "values": values[column],
        "perBatch": convention.per_batch,
    }  # fmt: skip


def _layer(row: Row, texts: Pool) -> dict[str, Any]:
    node, counts = row.node, row.total
    return {
        "name": texts[node.name],
        "scope": texts["\0".join(node.scope)],
        "op": texts[node.op],
        "origin": texts[node.origin],
        "inputs": texts[", ".join(_operand(t) for t in node.inputs if t is not None)],
        "shape": texts[", ".join(_size(t) for t in node.outputs)],
        "repeat": number(row.repeat),
        "params": number(row.params),
        "macs": number(counts.mac),
        "read": number(counts.read),
        "write": number(counts.write),
        "bytes": number(counts.bytes),
        "known": int(row.counts is not None),
    }


def _operand(tensor: Tensor) -> str:
    role = "" if tensor.role == "activation" else f"{tensor.role} "
    return f"{role}{_size(tensor)} {tensor.dtype}"


def _size(tensor: Tensor) -> str:
    return "?" if tensor.shape is None else shape(tensor.shape)


def _meaning(name: str) -> dict[str, str]:
    """The first sentence of an operator's text, and its family."""
    entry = ops.find(name)
    if entry is None:
        return {"family": "unknown", "meaning": ""}
    return {"family": entry.family, "meaning": inspect.getdoc(entry.count) or ""}


def _formulas(profiles: list[Profile], texts: Pool) -> tuple[list[dict[str, Any]], list[int]]:
    """The formulas of every kind of layer, and the kind of each layer."""
    conventions = [p.convention for p in profiles]
    kinds, place = Pool(), []
    groups: list[dict[str, Any]] = []
    for row in profiles[0].rows:
        kind = kinds[_kind(row.node)]
        if kind == len(groups):
            told = explain_row(profiles[0], row)
            counts = [f for f in told.formulas if f.what != conventions[0].name]
            counts.sort(key=lambda formula: formula.what == "params")
            groups.append({
                "pattern": texts[told.pattern],
                "letters": _letters(row),
                "counts": [[f.what, *_spelled(f, texts)] for f in counts],
                "readings": [f and _spelled(f, texts) for f in readings(conventions, row)],
            })  # fmt: skip
        place.append(kind)
    return groups, place


def _letters(row: Row) -> dict[str, Any]:
    """What the letters stand for; the page puts these numbers in their place."""
    entry = ops.find(row.node.op)
    if entry is None or row.counts is None:
        return {}
    return {letter: number(size) for letter, size in spell(row.node, entry)[1].items()}


def _kind(node: Node) -> tuple[Any, ...]:
    """Layers of one kind have the same formulas."""
    sides = (*((t.role, t.shape) if t is not None else None for t in node.inputs), None)
    return node.op, repr(node.attrs), sides, tuple(t.shape for t in node.outputs)


def _spelled(formula: Formula, texts: Pool) -> list[Any]:
    """The formula in letters and its result."""
    return [texts[formula.letters], number(formula.result)]


def number(amount: Any) -> Any:
    """A number as the page reads it: as text when symbolic or too large for JavaScript."""
    amount = plain(amount)
    return str(amount) if isinstance(amount, int) and abs(amount) > SAFE else amount
