"""How long a network runs on a machine whose kernels were measured: their times added up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import exp, sqrt
from typing import Any

from flopwise.analyses import eager
from flopwise.analyses.cases import LIKE, Case
from flopwise.analyses.kernels import case
from flopwise.analyses.process import fitted
from flopwise.devices import Device
from flopwise.passes.fuse import Group

# Where nothing like a kernel was measured: its operations and bytes at a tenth of the rates, and
# a deviation of a factor of e.
SLOW, UNSURE = 0.1, 1.0
STEP = 0.4e-6  # s for an operator that moves nothing, as in a chain of tiny ones
# The deviation of networks from the sum of their kernels that single kernels do not show, from
# forty-four networks that no table reports (not `MEASURED` in benchmarks/latency_networks.py).
TOGETHER = 0.05
TOGETHER_EAGER = 0.1  # the same of PyTorch, from eight networks of `DEVELOPED` there
CENTRAL = 1.2816  # deviations that hold 80 % of a normal distribution


@dataclass(frozen=True)
class Estimate:
    """Seconds of one run of a kernel, the deviation of their logarithm, and whether anything
    like it was measured."""

    seconds: float
    deviation: float
    measured: bool


def estimates(
    groups: Iterable[Group], device: Device, orders: Mapping[str, tuple[int, ...]] | None = None
) -> list[Estimate]:
    """One for each kernel, in order; `orders` are those of a graph."""
    groups = list(groups)
    if device.runtime == "eager":
        threads = device.threads or 1
        wanted = [eager.case(g, orders or {}, threads) for g in groups]
    else:
        wanted = [case(g) for g in groups]
    cases = [_nearest(c, device.kernels) for c in wanted]
    found = _fitted(cases, device)
    rows = [found.get(c) or _rough(g, device) for c, g in zip(cases, groups)]
    if device.runtime != "eager":
        return rows
    entered = [Case("call", (n,)) if n else None for n in eager.calls(groups)]
    around = _fitted(entered, device)
    between = float(device.calibration.get("between", 0.0))
    more = [between + (around[c].seconds if c in around else 0.0) for c in entered]
    return [replace(e, seconds=e.seconds + extra) for e, extra in zip(rows, more)]


def _fitted(cases: Iterable[Case | None], device: Device) -> dict[Case | None, Estimate]:
    """What the fits of the kinds that were measured say."""
    known = dict.fromkeys(c for c in cases if c is not None and c.kind in device.kernels)
    found: dict[Case | None, Estimate] = {}
    for kind in dict.fromkeys(c.kind for c in known):
        alike = [c for c in known if c.kind == kind]
        means, deviations = fitted(kind, device.kernels[kind]).predict(alike)
        for one, mean, deviation in zip(alike, means, deviations):
            found[one] = Estimate(exp(mean), float(deviation), True)
    return found


def _nearest(wanted: Case | None, known: Mapping[str, Any]) -> Case | None:
    """The case, or one of a kind like it, or of another function of one operand."""
    while wanted is not None and wanted.kind not in known and wanted.kind in LIKE:
        wanted = Case(LIKE[wanted.kind], wanted.sizes)
    if wanted is None or wanted.kind in known:
        return wanted
    like = "unary sigmoid"
    return Case(like, wanted.sizes) if wanted.kind.startswith("unary") and like in known else None


def _rough(group: Group, device: Device) -> Estimate:
    """From operations and bytes alone."""
    ops, moved = float(group.counts.ops), float(group.counts.bytes)  # type: ignore[arg-type]
    if not ops and not moved:
        return Estimate(STEP, UNSURE, True)
    peak = max(device.peak.values())
    return Estimate(STEP + (ops / peak + moved / device.bandwidth) / SLOW, UNSURE, False)


def interval(
    total: float, parts: Iterable[tuple[float, float]], runtime: str = ""
) -> tuple[float, float]:
    """Where 80 % of the true totals lie: by what kernels deviate, each for itself, and by what
    whole networks do from the sum of their kernels."""
    alone = sqrt(sum((t * d) ** 2 for t, d in parts)) / total if total else 0.0
    together = TOGETHER_EAGER if runtime == "eager" else TOGETHER
    factor = exp(CENTRAL * sqrt(alone**2 + together**2))
    return total / factor, total * factor
