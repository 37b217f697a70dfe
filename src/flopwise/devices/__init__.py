"""Devices: one `.toml` each, with the source beside the numbers.

    name = "Example 1000"
    status = "1src"                  # how sure: 2+src, 1src, conflict, computed, measured, …
    sources = ["https://example.com/datasheet"]

    [peak]                           # dense operations per second; a fused multiply-add is two
    float32 = 10e12

    [memory]
    bandwidth = 500e9                # bytes/s

An entry point of the group `flopwise.devices` gives a Device, the path of a file or of a
folder of them, or a function that returns one of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from flopwise import plugins
from flopwise.errors import UnknownName, nearest


@dataclass(frozen=True, slots=True)
class Cores:
    """Equal cores: how many, their clock in Hz, float32 lanes, fused multiply-add units each."""

    count: float
    frequency: float
    lanes: float
    fma_units: float

    @property
    def peak(self) -> float:
        """Operations per second in float32: cores × frequency × lanes × units × 2."""
        return 2 * self.count * self.frequency * self.lanes * self.fma_units


@dataclass(frozen=True, slots=True)
class Link:
    """Bytes/s each way from one device to the others of its node of so many `devices`, and over
    the `network` to other nodes (None: not known)."""

    bandwidth: float
    devices: int
    network: float | None = None


@dataclass(frozen=True)
class Device:
    """What a device can do at best, and what was measured on it.

    `peak` are dense operations per second by dtype, `bandwidth` is in bytes/s, sizes are in
    bytes, `launch_overhead` is seconds per kernel, `power` watts, `measured_gemm` the best rate
    that a matrix product was seen to reach, `measured_float8` that of one in 8 bits. `status` says
    how sure the numbers are. `kernels` holds what a calibration measured and fitted, for `runtime`
    with `threads`, and `calibration` how; `link` what the servers that the device is usually in
    connect it with.
    """

    slug: str
    name: str
    peak: Mapping[str, float] = field(hash=False)
    bandwidth: float
    aliases: tuple[str, ...] = ()
    vendor: str = ""
    kind: str = ""
    year: int | None = None
    memory_bytes: float | None = None
    cache_bytes: float | None = None
    cores: tuple[Cores, ...] = ()
    launch_overhead: float | None = None
    power: float | None = None
    measured_gemm: float | None = None
    measured_float8: float | None = None
    measured_note: str = ""
    status: str = ""
    notes: str = ""
    sources: tuple[str, ...] = ()
    runtime: str = ""
    threads: int | None = None
    calibration: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    kernels: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    link: Link | None = None

    def rate(self, dtype: str) -> float:
        """Peak operations per second of contractions in `dtype`. Raises UnknownName."""
        if dtype not in self.peak:
            known = ", ".join(self.peak)
            raise UnknownName(
                f"{self.name} has no peak for {dtype}: give --dtype as one of {known}"
            )
        return self.peak[dtype]

    @property
    def statement(self) -> str:
        """One line for lists."""
        peaks = ", ".join(f"{d} {p / 1e12:g}" for d, p in self.peak.items())
        return f"{self.name}: {peaks} TFLOPS; {self.bandwidth / 1e9:g} GB/s [{self.status}]"


def folder() -> Path:
    """Where the devices that come with flopwise are."""
    return Path(__file__).parent


@cache
def known() -> Mapping[str, Device]:
    """Every device of every entry point, by the name of its file."""
    found = (d for thing in plugins.load_all("devices").values() for d in _given(thing))
    return {device.slug: device for device in found}


def find(name: str) -> Device:
    """A device by name, alias or the path of a file. Raises UnknownName, BadDevice."""
    from flopwise.devices.files import read

    if name.endswith(".toml") or Path(name).is_file():
        return read(Path(name))
    wanted = _letters(name)
    for device in known().values():
        if wanted in map(_letters, (device.slug, device.name, *device.aliases)):
            return device
    names = [n for d in known().values() for n in (d.slug, *d.aliases)]
    raise UnknownName(f"no device '{name}'; {nearest(name.lower(), names)}")


def _letters(name: str) -> str:
    """A name without case, spaces and dashes."""
    return "".join(c for c in name.casefold() if c.isalnum())


def _given(thing: Any) -> Iterator[Device]:
    from flopwise.devices.files import read

    thing = thing() if callable(thing) else thing
    if isinstance(thing, Device):
        yield thing
    elif isinstance(thing, (str, Path)):
        path = Path(thing)
        yield from map(read, sorted(path.glob("*.toml")) if path.is_dir() else [path])
    elif isinstance(thing, Iterable):
        for part in thing:
            yield from _given(part)
