"""What would make a device's numbers doubtful: published tables are wrong often.

Bounds are wide enough for every device of two agreeing sources, and narrow enough for the
mistakes that were met: a bandwidth that is that of another card, rates with 2:4 sparsity in
place of dense ones, rates with 16-bit accumulation in place of 32-bit.
"""

from __future__ import annotations

from flopwise.devices import Device

# A unit of a narrower dtype does at most this many times the operations of a wider one.
STEPS = (
    ("float64", "float32", 64.5), ("float32", "tfloat32", 8.0), ("tfloat32", "float16", 4.0),
    ("float32", "float16", 16.1), ("float16", "bfloat16", 1.01), ("float16", "float8", 2.05),
    ("bfloat16", "float8", 2.05), ("float16", "int8", 4.05), ("bfloat16", "int8", 4.05),
)  # fmt: skip
EIGHT_BITS = 1.9  # times the rate of 16 bits, at least: else one of the two is sparse
REREADS = 60.0  # times a second that a device reads all of its memory: 20 to 56 where known
CLOCK = 0.02  # cores × frequency × lanes × units against the stated peak, relative
ABOVE = 1.25  # a measured rate over the nominal peak: cards clock above their specification


def doubts(device: Device) -> list[str]:
    """One line for each number that does not go with the others."""
    return [*_ratios(device), *_units(device), *_memory(device), *_measured(device)]


def _ratios(device: Device) -> list[str]:
    found = []
    for wide, narrow, most in STEPS:
        a, b = device.peak.get(wide), device.peak.get(narrow)
        if a and b and b / a > most:
            found.append(f"{narrow} is {b / a:.3g} times {wide}: a sparse rate?")
    half = device.peak.get("float16")
    if half and "float8" in device.peak and device.peak["float8"] / half < EIGHT_BITS:
        found.append("16 bits are as fast as 8: a sparse rate?")
    return found


def _units(device: Device) -> list[str]:
    derived, stated = sum(c.peak for c in device.cores), device.peak.get("float32")
    if not derived or not stated or abs(derived / stated - 1) <= CLOCK:
        return []
    return [f"cores × frequency × lanes × units is {derived:.4g}, float32 {stated:.4g}"]


def _memory(device: Device) -> list[str]:
    found = []
    if device.memory_bytes and device.bandwidth / device.memory_bytes > REREADS:
        times = device.bandwidth / device.memory_bytes
        found.append(f"its bandwidth reads its memory {times:.0f} times a second")
    if device.memory_bytes and device.cache_bytes and device.cache_bytes > device.memory_bytes:
        found.append("its cache is larger than its memory")
    return found


def _measured(device: Device) -> list[str]:
    best = max(device.peak.values())
    if device.measured_gemm and device.measured_gemm > ABOVE * best:
        return [f"a measured rate of {device.measured_gemm:.4g} is above the peak of {best:.4g}"]
    return []
