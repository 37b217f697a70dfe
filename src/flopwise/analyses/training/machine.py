"""The devices that a run is on: how many, and what each does at best."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flopwise import devices
from flopwise.devices import Device
from flopwise.errors import FlopwiseError

_RATE = re.compile(r"^\s*([\d.]+(?:e[+-]?\d+)?)\s*([kMGTPE]?)(?:FLOPS|FLOP/s|OPS)\s*$", re.ASCII)
_SCALE = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}


@dataclass(frozen=True)
class Machine:
    """`count` equal devices with a peak in operations per second, power in watts, memory in
    bytes; None where nothing tells."""

    name: str
    peak: float
    count: int = 1
    dtype: str = ""
    power: float | None = None
    memory: float | None = None
    device: Device | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise FlopwiseError(f"{self.count} devices: --count must be 1 or more")


def machine(
    name: str, count: int = 1, dtype: str = "float32", power: float | None = None
) -> Machine:
    """A device by name or file, or any machine by its rate: `200GFLOPS`.

    Raises UnknownName for a device, or a dtype it has no rate for.
    """
    if (match := _RATE.match(name)) is not None:
        rate = float(match[1]) * _SCALE[match[2]]
        if rate <= 0:
            raise FlopwiseError(f"'{name}' is no rate of a machine")
        return Machine(f"a machine of {name.strip()}", rate, count, "", power)
    device = devices.find(name)
    watts = device.power if power is None else power
    return Machine(
        device.name, device.rate(dtype), count, dtype, watts, device.memory_bytes, device
    )
