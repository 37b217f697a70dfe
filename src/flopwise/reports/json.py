"""The JSON of schema flopwise/1. Its keys are a contract; numbers are exact integers."""

from __future__ import annotations

import json
from dataclasses import fields
from fractions import Fraction
from functools import lru_cache
from typing import Any

from flopwise.dims import Expr
from flopwise.graph import Tensor
from flopwise.profile import Line, Profile


def render(profile: Profile, depth: int | None = None, width: int | None = None) -> str:
    """One line per layer: indented deeper, the text of a large network takes longer than its
    counts."""
    result = to_dict(profile, depth)
    encode = json.JSONEncoder(ensure_ascii=False).encode
    layers = [encode(layer) for layer in result.pop("layers")]
    head = json.dumps(result, indent=1, ensure_ascii=False).removesuffix("\n}")
    lines = ",\n  ".join(layers)
    return f'{head},\n "layers": [\n  {lines}\n ]\n}}'


def to_dict(profile: Profile, depth: int | None = None) -> dict[str, Any]:
    """The profile as plain dicts, lists, numbers and text."""
    total = profile.total()
    return {
        "schema": "flopwise/1",
        "model": {"name": profile.graph.name, "format": profile.graph.format},
        "inputs": [_tensor(t) for t in profile.graph.inputs],
        "convention": profile.convention.name,
        "totals": {
            "value": plain(profile.value()),
            "params": plain(profile.params),
            "trainable_params": plain(profile.trainable_params),
            "buffers": plain(profile.buffers),
            "macs": plain(total.mac),
            "flops": plain(total.flops),
            "ops": plain(total.ops),
            "activations": plain(profile.activations),
            "weight_bytes": plain(profile.weight_bytes),
            "read_bytes": plain(total.read),
            "write_bytes": plain(total.write),
            "coverage": profile.coverage,
        },
        "params": _params(profile),
        "unknown": [{"origin": o, "count": n} for o, n in profile.not_counted().items()],
        "notes": list(profile.graph.notes),
        "layers": [_layer(line) for line in profile.lines(depth)],
    }


def _params(profile: Profile) -> dict[str, Any]:
    """Kinds of parameters; null where a file holds no operators that would tell."""
    found = profile.parameters
    return {f.name: plain(getattr(found, f.name)) for f in fields(found)}


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": [plain(s) for s in tensor.shape or ()],
        "dtype": tensor.dtype,
    }


def _layer(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "op": line.op,
        "scope": "/".join(line.scope),
        "output_shape": None if line.shape is None else [plain(s) for s in line.shape],
        "params": plain(line.params),
        "macs": plain(line.counts.mac),
        "flops": plain(line.counts.flops),
        "ops": plain(line.counts.ops),
        "value": plain(line.value),
        "read_bytes": plain(line.counts.read),
        "write_bytes": plain(line.counts.write),
    }


_text = lru_cache(maxsize=4096)(str)


def plain(number: Any) -> Any:
    """An int as it is, an expression as text."""
    if type(number) is int:
        return number
    if isinstance(number, Expr):
        return _text(number)
    return float(number) if isinstance(number, Fraction) else number
