"""Whether a step fits in the memory of a device, and the largest batch that does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flopwise.devices import Device
from flopwise.dims import Dim, Expr
from flopwise.errors import FlopwiseError, UnknownSize

LARGEST = 2**24  # a batch beyond which nobody asks


@dataclass(frozen=True)
class Fit:
    """Whether the step fits in `usable_bytes` of a device, and the largest batch that does: None
    where the batch cannot be changed, 0 where no batch fits."""

    device: str
    memory_bytes: int
    usable_bytes: int
    fits: bool
    largest_batch: int | None = None


def fit(
    peak: Dim, device: Device, share: float, peak_at: Callable[[int], int] | None = None
) -> Fit:
    """`peak_at` gives the peak at a batch, `share` is of the memory. Raises FlopwiseError where
    the memory of the device is not known, UnknownSize where the peak is no number."""
    if device.memory_bytes is None:
        raise FlopwiseError(f"nothing tells the memory of {device.name}: name another device")
    if isinstance(peak, Expr):
        raise UnknownSize("a free size fits nowhere: give --batch a number")
    usable = int(device.memory_bytes * share)
    most = None if peak_at is None else largest(peak_at, usable)
    return Fit(device.name, int(device.memory_bytes), usable, peak <= usable, most)


def largest(peak_at: Callable[[int], int], usable: int) -> int:
    """The largest batch whose peak is within bounds; peaks grow with the batch, and from some
    batch on in a straight line, along which the search goes."""
    low, high = (1, peak_at(1)), (2, peak_at(2))
    if low[1] > usable:
        return 0
    while high[1] <= usable:
        if high[0] >= LARGEST:
            return LARGEST
        slope = max((high[1] - low[1]) / (high[0] - low[0]), 1e-9)
        reach = int(high[0] + (usable - high[1]) / slope) + 1
        batch = min(max(reach, high[0] + 1), LARGEST)
        low, high = high, (batch, peak_at(batch))
    while high[0] - low[0] > 1:
        share = (usable - low[1]) / (high[1] - low[1])
        batch = min(max(int(low[0] + share * (high[0] - low[0])), low[0] + 1), high[0] - 1)
        found = (batch, peak_at(batch))
        low, high = (found, high) if found[1] <= usable else (low, found)
    return low[0]
