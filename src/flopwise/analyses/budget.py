"""Budgets: upper bounds on what a model may cost, and growth against a stored baseline."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from flopwise.analyses.compare import totals
from flopwise.analyses.memory import memory
from flopwise.dims import Expr
from flopwise.errors import FlopwiseError, UnknownName, nearest
from flopwise.profile import Profile

SCALES = {
    "": 0, "k": 3, "K": 3, "M": 6, "G": 9, "B": 9, "T": 12, "P": 15,
}  # fmt: skip
KNOWN = ("params", "macs", "flops", "ops", "value", "activations", "weight_bytes", "read_bytes",
         "write_bytes", "peak_memory", "latency")  # fmt: skip
KEYS = ("path", "input", "batch", "max", "growth", "device")
BINARY = {"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
SECONDS = {"s": 0, "ms": -3, "us": -6, "µs": -6}
_QUANTITY = re.compile(r"^\s*<?=?\s*([\d.]+(?:[eE][+-]?\d+)?)\s*([A-Za-zµ%]*)\s*$")


@dataclass(frozen=True)
class Budget:
    """Limits of one model: quantity → bound, and by how much each may exceed a baseline."""

    limits: Mapping[str, Decimal] = field(default_factory=dict)
    growth: Decimal | None = None
    baseline: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One quantity against its bound."""

    model: str
    quantity: str
    value: Any
    bound: Decimal
    source: str

    @property
    def over(self) -> bool:
        return bool(self.value > self.bound)


def quantity(text: str) -> Decimal:
    """`5G`, `30M`, `1.5GiB`, `10ms`, `5%` or a plain number. Raises FlopwiseError."""
    match = _QUANTITY.match(text)
    if match is None:
        raise FlopwiseError(f"'{text}' is no quantity; write 5G, 30M, 1.5GiB, 10ms or 5%")
    number, unit = Decimal(match[1]), match[2]
    if unit == "%":
        return number / 100
    if unit in BINARY:
        return number * 2 ** BINARY[unit]
    if unit in SECONDS:
        return number.scaleb(SECONDS[unit])
    decimal = unit.removesuffix("B") if len(unit) == 2 else unit
    if decimal not in SCALES:
        raise FlopwiseError(f"'{text}': no unit '{unit}'; write 5G, 30M, 1.5GiB, 10ms or 5%")
    return number.scaleb(SCALES[decimal])


def measure(profile: Profile) -> dict[str, Any]:
    """Every quantity that may have a bound."""
    return {**totals(profile), "peak_memory": memory(profile.graph).peak_bytes}


def limits(pairs: Mapping[str, Any]) -> dict[str, Decimal]:
    """Bounds by name. Raises UnknownName for a quantity that does not exist."""
    if not isinstance(pairs, Mapping):
        raise FlopwiseError(f'max = {pairs!r} names no quantity; write max = {{macs = "5G"}}')
    for name in pairs:
        if name not in KNOWN:
            raise UnknownName(f"no quantity '{name}'; {nearest(name, list(KNOWN))}")
    return {name: quantity(str(value)) for name, value in pairs.items()}


def check(name: str, found: Mapping[str, Any], budget: Budget) -> list[Finding]:
    """Each bound with what was found. Raises FlopwiseError for a size that is still free."""
    bounds = [(q, bound, "limit") for q, bound in budget.limits.items()]
    if budget.growth is not None:
        grown = 1 + budget.growth
        bounds += [(q, value * grown, "baseline") for q, value in budget.baseline.items()]
    findings = []
    for q, bound, source in bounds:
        if q not in found:
            raise FlopwiseError(f"{name}: {q} is not measured; latency needs a device")
        if isinstance(found[q], Expr):
            raise FlopwiseError(f"{name}: {q} is {found[q]}; give every size to check it")
        findings.append(Finding(name, q, found[q], Decimal(bound), source))
    return findings


def configured(folder: Path) -> tuple[dict[str, dict[str, Any]], Path | None]:
    """The models of `flopwise.toml`, or of `[tool.flopwise]` in pyproject.toml, and the baseline
    that it names.

    Each model is a table with `path`, and optionally `input`, `batch`, `max`, `growth`, `device`.
    Raises UnknownName for any other key: a bound that is misspelt would pass for ever.
    """
    own, project = folder / "flopwise.toml", folder / "pyproject.toml"
    table = _toml(own) if own.exists() else _toml(project).get("tool", {}).get("flopwise", {})
    models = table.get("models", {})
    if not models:
        raise FlopwiseError(
            "nothing to check: name a model, or list models in flopwise.toml "
            "or [tool.flopwise.models.NAME] of pyproject.toml"
        )
    _only(table, ("models", "baseline"), "the configuration")
    for name, entry in models.items():
        if not isinstance(entry, dict) or "path" not in entry:
            raise FlopwiseError(f"[models.{name}]: needs a path")
        _only(entry, KEYS, f"[models.{name}]")
    baseline = table.get("baseline")
    return dict(models), None if baseline is None else folder / baseline


def _only(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise UnknownName(f"{where}: no key '{key}'; {nearest(key, list(known))}")


def _toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FlopwiseError(f"{path}: {error}") from None
