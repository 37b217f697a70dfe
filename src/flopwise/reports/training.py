"""A training run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flopwise.analyses.training.run import Formula, Reading, Run
from flopwise.reports import exact, parallel, short
from flopwise.reports.json import plain
from flopwise.reports.page import Page

NAMES = {"macs": "MACs", "flops": "FLOPs", "ops": "operations", "operations": "operations"}


def page(run: Run, explain: bool = False) -> Page:
    """The run as people read it; with `explain` each formula in letters and in numbers."""
    formulas = ["\n".join(_formulas(run.formulas))] if explain else []
    return Page(f"Training {run.name}", ["\n".join(_lines(run)), *formulas], to_dict(run))


def _lines(run: Run) -> list[str]:
    lines = [_title(run), *_table(run), *_machine(run), *_readings(run)]
    if run.layout is not None:
        lines += [*parallel.lines(run.layout)]
    lines += [f"  note: {note}" for note in run.notes]
    if run.coverage < 1:
        listed = ", ".join(f"{n} x {origin}" for origin, n in run.unknown.items())
        lines.append(f"  coverage {run.coverage:.1%}; not counted: {listed}")
    return lines


def _title(run: Run) -> str:
    if run.samples is None or run.epochs is None:
        return f"{run.name}: {short(run.operations)} {NAMES[run.unit]}"
    each = "a device" if run.layout is None else f"x {run.layout.job.micro} a replica"
    steps = f"{exact(run.steps)} steps of {run.batch} samples {each}"
    return f"{run.name}: {whole(run.samples)} samples x {run.epochs:g} epochs, {steps}"


def _table(run: Run) -> Iterator[str]:
    if not run.per_step:
        return
    unit = NAMES[run.unit]
    yield f"  {unit:<16}{'per step':>12}{'in all':>12}"
    for name, amount in run.per_step.items():
        how = f"  (by {run.by})" if name == "backward" else ""
        yield f"  {name:<16}{short(amount):>12}{short(run.total[name]):>12}{how}"
    yield f"  {'executed':<16}{'':>12}{short(run.operations):>12}"


def _machine(run: Run) -> Iterator[str]:
    machine = run.machine
    if machine is None:
        return
    dtype = f" in {machine.dtype}" if machine.dtype else ""
    yield f"  {machine.count} x {machine.name}, {short(machine.peak)}FLOPS{dtype}"
    if run.seconds is None or run.utilization is None:
        return
    said = "predicted" if run.predicted else "given"
    yield f"  time            {duration(run.seconds)}{_band(run)}"
    yield f"  HFU             {run.utilization:.1%} ({said}: all that is executed)"
    yield f"  MFU             {run.mfu:.1%} (forward and backward alone)"
    yield f"  device-hours    {number(run.device_hours)}"
    for name, value, unit in (
        ("energy", run.energy_kwh, " kWh"), ("cost", run.cost, ""), ("CO2e", run.co2e_kg, " kg"),
    ):  # fmt: skip
        if value is not None:
            yield f"  {name:<16}{number(value)}{unit}"


def _band(run: Run) -> str:
    if run.band is None:
        return ""
    return f" (between {duration(run.band[0])} and {duration(run.band[1])})"


def _readings(run: Run) -> Iterator[str]:
    if not run.readings:
        return
    yield "  the same run, read otherwise:"
    for reading in run.readings:
        time = "" if reading.seconds is None else duration(reading.seconds)
        yield (
            f"    {reading.name:<30}{short(reading.operations):>10}  x{reading.times:<7.3g}"
            f"{time:<14}{reading.why}".rstrip()
        )


def _formulas(formulas: tuple[Formula, ...]) -> Iterator[str]:
    for formula in formulas:
        yield f"  {formula.name}"
        yield f"    = {formula.letters}"
        yield f"    = {formula.numbers}"


UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "s"), (1e-3, "ms"))


def duration(seconds: float) -> str:
    """In the largest unit of which there is one at least."""
    for scale, unit in UNITS:
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}" if seconds < 100 * scale else (
                f"{seconds / scale:,.0f} {unit}"
            )  # fmt: skip
    return f"{seconds:.3g} s"


def whole(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,}"


def number(value: float | None) -> str:
    """Three digits, or all before the point."""
    if value is None:
        return "not known"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def to_dict(run: Run) -> dict[str, Any]:
    """The run with its stable keys; null where nothing tells."""
    machine = run.machine
    return {
        "schema": "flopwise/train/1",
        "model": {"name": run.name},
        "unit": run.unit,
        "samples": run.samples,
        "epochs": run.epochs,
        "batch": run.batch,
        "steps": run.steps,
        "backward_by": run.by or None,
        "operations_per_step": {name: plain(v) for name, v in run.per_step.items()},
        "operations": {**run.total, "model": run.model_operations, "executed": run.operations},
        "device": machine and {
            "name": machine.name, "count": machine.count, "peak": machine.peak,
            "dtype": machine.dtype, "power_w": machine.power,
        },
        "seconds": run.seconds,
        "days": run.days,
        "band_seconds": run.band and list(run.band),
        "step_seconds": run.step_seconds,
        "device_hours": run.device_hours,
        "hfu": run.hfu,
        "mfu": run.mfu,
        "utilization_predicted": run.predicted,
        "energy_kwh": run.energy_kwh,
        "cost": run.cost,
        "co2e_kg": run.co2e_kg,
        "readings": [_reading(r) for r in run.readings],
        "layout": run.layout and parallel.to_dict(run.layout),
        "formulas": [
            {"name": f.name, "letters": f.letters, "numbers": f.numbers} for f in run.formulas
        ],
        "notes": list(run.notes),
        "coverage": run.coverage,
        "unknown": [{"origin": o, "count": n} for o, n in run.unknown.items()],
    }  # fmt: skip


def _reading(reading: Reading) -> dict[str, Any]:
    return {
        "name": reading.name, "operations": reading.operations, "seconds": reading.seconds,
        "times": reading.times, "why": reading.why,
    }  # fmt: skip
