"""Why two networks of like FLOPs take unlike times: where the milliseconds of each go."""

from __future__ import annotations

from dataclasses import dataclass

from flopwise.analyses.roofline import Kernel, Prediction

SPARSE = ("depthwise_conv", "grouped_conv")


@dataclass(frozen=True)
class Part:
    """One reason: how much of it each network has, in `unit`, and the seconds it explains.

    `adds` tells the parts whose seconds add up to the latency from those that say how it
    could be another.
    """

    name: str
    unit: str
    amounts: tuple[float, ...]
    seconds: tuple[float, ...]
    adds: bool = True


def why(*predictions: Prediction) -> tuple[Part, ...]:
    """The reasons, for each of the networks. Those that add add up to the latencies."""
    parts = [_parts(p) for p in predictions]
    return tuple(
        Part(rows[0].name, rows[0].unit, tuple(r.amounts[0] for r in rows),
             tuple(r.seconds[0] for r in rows), rows[0].adds)
        for rows in zip(*parts)
    )  # fmt: skip


def _parts(found: Prediction) -> list[Part]:
    kernels = found.kernels
    rate = max((k.flops / k.compute_s for k in kernels if k.compute_s), default=float("inf"))
    best = {id(k): k.flops / rate if k.compute_s else 0.0 for k in kernels}
    slow = [(k, k.compute_s - best[id(k)]) for k in kernels]
    sparse = [k for k in kernels if k.kind in SPARSE]
    # Of a measured kernel all is known that it loses, and how little of it a launch takes.
    slower = sum(s for k, s in slow if k.kind in SPARSE)
    lost = sum(k.overhead_s for k in sparse) if found.device.kernels else 0.0
    flops = found.flops or 1
    path = critical(kernels)
    return [
        _part("operations at the best rate", "FLOPs", found.flops, sum(best.values())),
        _part("depthwise, grouped: slower", "of FLOPs",
              sum(k.flops for k in sparse) / flops, slower + lost),
        _part("other kinds: slower", "of FLOPs",
              sum(k.flops for k, s in slow if s > 0 and k.kind not in SPARSE) / flops,
              sum(s for k, s in slow if k.kind not in SPARSE)),
        _part("bytes read and written", "B", found.bytes, sum(k.memory_s for k in kernels)),
        _part("launches and other losses", " kernels", len(kernels),
              sum(k.overhead_s for k in kernels) - lost),
        _part("intensity", " FLOPs/B", round(found.flops / (found.bytes or 1), 1), 0.0, False),
        _part("critical path", "of the time",
              path / (found.latency_s or 1), path, False),
    ]  # fmt: skip


def _part(name: str, unit: str, amount: float, seconds: float, adds: bool = True) -> Part:
    return Part(name, unit, (amount,), (seconds,), adds)


def critical(kernels: tuple[Kernel, ...]) -> float:
    """Seconds of the longest chain of kernels that wait for one another."""
    ready: dict[str, float] = {}
    longest = 0.0
    for kernel in kernels:
        end = max((ready.get(name, 0.0) for name in kernel.reads), default=0.0) + kernel.time_s
        ready |= dict.fromkeys(kernel.writes, end)
        longest = max(longest, end)
    return longest
