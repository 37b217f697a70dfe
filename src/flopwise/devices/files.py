"""A device file to a Device, with one clear line for whatever is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flopwise.devices import Cores, Device, Link
from flopwise.errors import BadDevice
from flopwise.graph import BITS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# How tensor cores compute on float32, and matrix units on float64: no dtypes of tensors.
MATRIX = ("tfloat32", "float64_tensor")
DTYPES = (*(d for d in BITS if d and d != "string"), *MATRIX)
TEXTS = ("name", "vendor", "class", "status", "notes", "runtime")
NUMBERS = ("year", "power", "launch_overhead", "threads")
TABLES = ("peak", "memory", "measured", "link", "cores", "calibration", "kernels")
LISTS = ("aliases", "sources")


def read(path: Path) -> Device:
    """The device that a file describes. Raises BadDevice."""
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadDevice(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadDevice(f"{path}: not a TOML file ({error})") from None
    try:
        return device(record, path.stem)
    except BadDevice as error:
        raise BadDevice(f"{path}: {error}") from None


def device(record: Mapping[str, Any], slug: str) -> Device:
    """A device from the tables of its file. Raises BadDevice."""
    _only(record, (*TEXTS, *NUMBERS, *TABLES, *LISTS), "")
    for name in TABLES[:4]:
        if not isinstance(record.get(name, {}), dict):
            raise BadDevice(f"[{name}] is no table")
    cores = tuple(_cores(c) for c in record.get("cores", ()))
    memory, measured = record.get("memory", {}), record.get("measured", {})
    _only(memory, ("bytes", "bandwidth", "cache"), "memory.")
    _only(measured, ("gemm", "float8", "note"), "measured.")
    return Device(
        slug=slug,
        name=_text(record, "name") or slug,
        peak=_peaks(record.get("peak", {}), cores),
        bandwidth=_needed(memory, "bandwidth", "memory."),
        memory_bytes=_number(memory, "bytes", "memory."),
        cache_bytes=_number(memory, "cache", "memory."),
        cores=cores,
        launch_overhead=_number(record, "launch_overhead"),
        power=_number(record, "power"),
        year=_whole(_number(record, "year")),
        threads=_whole(_number(record, "threads")),
        measured_gemm=_number(measured, "gemm", "measured."),
        measured_float8=_number(measured, "float8", "measured."),
        measured_note=_text(measured, "note"),
        aliases=_texts(record, "aliases"),
        sources=_texts(record, "sources"),
        kind=_text(record, "class"),
        calibration=record.get("calibration", {}),
        kernels=record.get("kernels", {}),
        link=_link(record.get("link")),
        **{name: _text(record, name) for name in ("vendor", "status", "notes", "runtime")},
    )


def _peaks(table: Mapping[str, Any], cores: tuple[Cores, ...]) -> dict[str, float]:
    """Peaks by dtype; that of float32 follows from the cores where it is not stated."""
    for dtype in table:
        if dtype not in DTYPES:
            raise BadDevice(f"peak.{dtype}: '{dtype}' is no dtype (dense rates only)")
    peaks = {dtype: _needed(table, dtype, "peak.") for dtype in table}
    if cores and "float32" not in peaks:
        peaks["float32"] = sum(c.peak for c in cores)
    if not peaks:
        raise BadDevice("no peak: [peak] needs one such as float32 = 10e12")
    return peaks


def _link(table: Mapping[str, Any] | None) -> Link | None:
    if table is None:
        return None
    _only(table, ("bandwidth", "devices", "network"), "link.")
    bandwidth, devices = (_needed(table, name, "link.") for name in ("bandwidth", "devices"))
    return Link(bandwidth, int(devices), _number(table, "network", "link."))


def _cores(table: Any) -> Cores:
    if not isinstance(table, dict):
        raise BadDevice("cores: write [[cores]] tables")
    fields = ("count", "frequency", "lanes", "fma_units")
    _only(table, fields, "cores.")
    return Cores(*(_needed(table, name, "cores.") for name in fields))


def _only(table: Mapping[str, Any], names: tuple[str, ...], place: str) -> None:
    """A misspelt number is a missing one."""
    from flopwise.errors import nearest

    for name in table:
        if name not in names:
            raise BadDevice(f"{place}{name}: no such entry; {nearest(name, list(names))}")


def _needed(table: Mapping[str, Any], name: str, place: str) -> float:
    number = _number(table, name, place)
    if number is None:
        raise BadDevice(f"{place}{name} is missing")
    return number


def _number(table: Mapping[str, Any], name: str, place: str = "") -> float | None:
    value = table.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadDevice(f"{place}{name} is no number: {value!r}")
    if not 0 < value < float("inf"):
        raise BadDevice(f"{place}{name} must be above 0 and finite, not {value}")
    return float(value)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _text(table: Mapping[str, Any], name: str) -> str:
    value = table.get(name, "")
    if not isinstance(value, str):
        raise BadDevice(f"{name} is no text: {value!r}")
    return value


def _texts(table: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = table.get(name, [])
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise BadDevice(f"{name} is no list of texts")
    return tuple(value)
