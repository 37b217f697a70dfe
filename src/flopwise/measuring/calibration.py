"""A device file of this machine, from kernels alone: measure, fit, write.

What was measured is kept beside the device file as it comes, line by line, so that a calibration
which is interrupted goes on where it was.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic
from typing import Any

from flopwise.analyses.cases import Case
from flopwise.analyses.process import fit
from flopwise.analyses.terms import terms, work
from flopwise.errors import FlopwiseError, UnknownName, nearest
from flopwise.measuring.clock import QUIET, Clock
from flopwise.measuring.samples import DESIGN, design
from flopwise.passes.runtimes import ALIASES

RUNTIMES = {"onnxruntime": "onnxruntime", "eager": "torch"}  # what a runtime is run with
AGAIN = 48  # cases measured a second time, for the noise
ROUNDS = 7
CHAINS = 9  # of small kernels
TWICE = 2  # copies of the calibration product: its weights stay in the nearest caches
DENSE = ("gemm", "conv", "addmm")  # kinds that come near the peak
FEWEST = 4  # cases of a kind that can be fitted

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Reading:
    """A case with the calibration products that it takes, and seconds of one product then."""

    case: Case
    products: float
    unit: float


@dataclass(frozen=True)
class Readings:
    """Cases measured, and in the median how far off they were when measured again; `between`
    are calibration products that a kernel takes longer among others than over and over."""

    found: tuple[Reading, ...]
    noise: float
    between: float = 0.0


def backend(runtime: str) -> Any:
    """The module that runs kernels of a runtime. Raises UnknownName."""
    name = ALIASES.get(runtime, runtime)
    if name not in RUNTIMES:
        raise UnknownName(f"no runtime '{runtime}' to measure; {nearest(runtime, list(RUNTIMES))}")
    return import_module(f"flopwise.measuring.{RUNTIMES[name]}")


def start(runtime: str, threads: int) -> tuple[Any, Clock]:
    """The runtime and a clock that runs in it."""
    module = backend(runtime)
    product, _ = module.kernel(module.PRODUCT, threads, TWICE)
    return module, Clock(product, threads)


def read(module: Any, clock: Clock, case: Case, rounds: int = ROUNDS) -> Reading:
    """One case measured."""
    run, times = module.kernel(case, clock.threads)
    before = len(clock.readings)
    products = median(clock.ratios(run, rounds)) / times
    return Reading(case, products, median(clock.readings[before:]))


def plan(runtime: str, share: float = 1.0) -> list[Case]:
    """The designed cases that a runtime has kernels for, in the order of measuring."""
    module = backend(runtime)
    kinds = getattr(module, "DESIGN", DESIGN)
    return [c for c in design(share=share, kinds=kinds) if module.has(c)]


def measure(
    runtime: str, threads: int, partial: Path, minutes: float | None = None,
    share: float = 1.0, progress: Progress = lambda done, whole: None,
) -> Readings:  # fmt: skip
    """Readings of the designed cases.

    Stops after `minutes`, the kinds even then in proportion. What `partial` holds is not measured
    again. Raises FlopwiseError where it holds another calibration.
    """
    module, clock = start(runtime, threads)
    cases, ends = plan(runtime, share), monotonic() + 60 * (minutes or float("inf"))
    known = {r.case: r for r in _kept(partial, _settings(module, threads))}
    with partial.open("a", encoding="utf-8") as file:
        for i, case in enumerate(cases):
            if case not in known and monotonic() < ends:
                known[case] = read(module, clock, case)
                file.write(json.dumps(_record(known[case])) + "\n")
                file.flush()
            progress(i + 1, len(cases))
    found = [known[c] for c in cases if c in known]
    found = [r for r in found if not clock or not clock.disturbed(r.unit)]
    some = Random(0).sample(found, min(AGAIN, len(found)))
    changes = [abs(read(module, clock, r.case).products / r.products - 1) for r in some]
    between = _between(module, clock) if hasattr(module, "chain") else 0.0
    return Readings(tuple(found), median(changes), between)


def _between(module: Any, clock: Clock) -> float:
    """From chains of small kernels, less what these take alone."""
    found, alone = [], {}
    for number in range(CHAINS):
        run, cases = module.chain(number)
        for case in cases:
            if case not in alone:
                alone[case] = read(module, clock, case).products
        whole = median(clock.ratios(run, ROUNDS))
        kernels = sum(case.kind != "call" for case in cases)
        found.append((whole - sum(alone[case] for case in cases)) / kernels)
    return max(0.0, median(found))


def _settings(module: Any, threads: int) -> dict[str, Any]:
    """What readings must have in common."""
    return {"version": module.version(), "threads": threads}


def _record(reading: Reading) -> dict[str, Any]:
    return {
        "kind": reading.case.kind, "sizes": reading.case.sizes, "products": reading.products,
        "unit": reading.unit,
    }  # fmt: skip


def _kept(partial: Path, settings: dict[str, Any]) -> list[Reading]:
    """What an earlier run measured; a line that was cut off is left out."""
    if not partial.exists():
        partial.write_text(json.dumps(settings) + "\n", encoding="utf-8")
        return []
    first, *lines = partial.read_text(encoding="utf-8").splitlines() or [""]
    if first != json.dumps(settings):
        raise FlopwiseError(
            f"{partial} holds another calibration ({first[:80]}), not {json.dumps(settings)}: "
            "delete it, or choose another file"
        )
    found = []
    for line in lines:
        try:
            r = json.loads(line)
            found.append(Reading(Case(r["kind"], tuple(r["sizes"])), r["products"], r["unit"]))
        except (ValueError, KeyError, TypeError):
            continue
    return found


def device_file(readings: Readings, runtime: str, threads: int, version: str) -> str:
    """The text of a device file that `predict` takes."""
    units = sorted(r.unit for r in readings.found)
    unit = units[int(QUIET * len(units))]
    times = {r.case: r.products * unit for r in readings.found}
    rate = max(work(c)[0] / t for c, t in times.items() if c.kind in DENSE)
    moved = max(4 * 2 * c.sizes[0] / t for c, t in times.items() if c.kind == "unary relu")
    how = ALIASES.get(runtime, runtime)
    said = f"{version} eager" if how == "eager" else version
    lines = [
        f"name = {json.dumps(f'{processor()}, {said}, {threads} thread' + 's' * (threads > 1))}",
        'class = "cpu"', 'status = "calibrated"',
        f"runtime = {json.dumps(how)}",
        f"threads = {threads}",
        'notes = "peak and bandwidth are the best that single kernels reached"',
        f"\n[peak]\nfloat32 = {rate:.4g}\n\n[memory]\nbandwidth = {moved:.4g}  # bytes/s",
        f"\n[calibration]\nversion = {json.dumps(version)}\nnoise = {readings.noise:.4f}",
        f"kernels = {len(times)}\nproduct = {unit:.6g}  # s, of the matrix product timed along",
    ]  # fmt: skip
    if readings.between:
        lines.append(f"between = {readings.between * unit:.4g}  # s, longer in a chain than alone")
    for kind in dict.fromkeys(c.kind for c in times):
        cases = [c for c in times if c.kind == kind]
        if len(cases) >= FEWEST:
            lines += _table(kind, cases, [times[c] for c in cases], readings.noise)
    return "\n".join(lines) + "\n"


def _table(kind: str, cases: list[Case], seconds: list[float], noise: float) -> list[str]:
    """Sizes and seconds of a kind, and what was fitted to them."""
    found = fit(cases, seconds, max(noise, 0.01))
    names = ", ".join(cases[0].named)
    rows = [f"  [{', '.join(map(str, c.sizes))}, {t:.4g}]," for c, t in zip(cases, seconds)]
    return [
        f"\n[kernels.{json.dumps(kind)}]",
        f"prices = [{_numbers(found.prices)}]  # s: {', '.join(terms(cases[0]))}",
        f"scales = [{_numbers(found.process.scales)}]", f"noise = {found.process.noise:.4f}",
        f"samples = [  # {names}, seconds", *rows, "]",
    ]  # fmt: skip


def _numbers(values: Any) -> str:
    return ", ".join(f"{v:.3g}" for v in values)


def processor() -> str:
    """What this machine calls its processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()
