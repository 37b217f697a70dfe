"""The layers as rows of plain values, and as a pandas or polars frame."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from flopwise.errors import MissingPackage
from flopwise.profile import Line, Profile
from flopwise.reports import shape_text
from flopwise.reports.json import plain

TEXTS = ("name", "op", "scope", "output_shape")
NUMBERS = ("params", "macs", "flops", "ops", "value", "read_bytes", "write_bytes")
COLUMNS = (*TEXTS, *NUMBERS, "convention", "counted")
LARGEST = 2**63 - 1


def records(profile: Profile, depth: int | None = None) -> list[dict[str, Any]]:
    """One dict per layer, with the keys of COLUMNS.

    Numbers are exact ints, or text where they are symbolic. An operator without a
    formula has None for its counts and `counted` False; a module that holds one has
    the sum of the others and `counted` False.
    """
    return [_record(line, profile.convention.name) for line in profile.lines(depth)]


def _record(line: Line, convention: str) -> dict[str, Any]:
    counts = line.counts
    shape = shape_text(line.shape)
    texts = dict(zip(TEXTS, (line.name, line.op, "/".join(line.scope), shape)))
    numbers = [counts.mac, counts.flops, counts.ops, line.value, counts.read, counts.write]
    unknown = not line.known and not counts.items()
    known = [None if unknown else plain(n) for n in numbers]
    amounts = dict(zip(NUMBERS, [plain(line.params), *known]))
    return {**texts, **amounts, "convention": convention, "counted": line.known}


def to_pandas(profile: Profile, depth: int | None = None) -> Any:
    """A DataFrame; whole numbers are `Int64`, so that a missing one is <NA>."""
    pandas = _import("pandas")
    columns = _columns(profile, depth)
    for name in NUMBERS:
        if all(v is None or (isinstance(v, int) and v <= LARGEST) for v in columns[name]):
            columns[name] = pandas.array(columns[name], dtype="Int64")
    return pandas.DataFrame(columns)


def to_polars(profile: Profile, depth: int | None = None) -> Any:
    """A DataFrame; a column is text when one of its numbers is symbolic."""
    polars = _import("polars")
    columns = _columns(profile, depth)
    return polars.DataFrame([_series(polars, name, values) for name, values in columns.items()])


def _columns(profile: Profile, depth: int | None) -> dict[str, list[Any]]:
    rows = records(profile, depth)
    return {name: [row[name] for row in rows] for name in COLUMNS}


def _series(polars: Any, name: str, values: list[Any]) -> Any:
    if name not in NUMBERS:
        return polars.Series(name, values, polars.Boolean if name == "counted" else polars.String)
    present = [v for v in values if v is not None]
    if any(isinstance(v, str) for v in present):
        return polars.Series(name, [v if v is None else str(v) for v in values], polars.String)
    if any(isinstance(v, float) for v in present):
        return polars.Series(name, values, polars.Float64)
    wide = any(v > LARGEST for v in present)
    return polars.Series(name, values, polars.Int128 if wide else polars.Int64)


def _import(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError:
        raise MissingPackage(f"{package} is not installed: pip install {package}") from None
