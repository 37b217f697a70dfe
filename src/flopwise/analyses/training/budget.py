"""From a step, or from a plain amount of operations, to a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flopwise.analyses.budget import quantity as amount_of
from flopwise.analyses.roofline import predict
from flopwise.analyses.training.machine import Machine
from flopwise.analyses.training.run import (
    DAY,
    HOUR,
    Formula,
    Length,
    Prices,
    Reading,
    Run,
    amounts,
    readings,
)
from flopwise.analyses.training.step import Training
from flopwise.conventions import Convention
from flopwise.errors import FlopwiseError, UnknownName

CLOSE = 0.1  # how near a reading is to an amount that was given, to be named as its source


def quantity(operations: str | float) -> float:
    """`2.52e18`, or with a prefix: `2520P`. Raises FlopwiseError."""
    return float(amount_of(operations)) if isinstance(operations, str) else float(operations)


def utilized(utilization: float | None) -> float | None:
    """A share of the peak. Raises FlopwiseError."""
    if utilization is not None and not 0 < utilization <= 1:
        raise FlopwiseError(
            f"a utilization of {utilization:g} cannot be: it is a share of the peak, above 0 and "
            "at most 1 (or 100%)"
        )
    return utilization


def run(
    training: Training, length: Length, unit: Convention, machine: Machine | None = None,
    utilization: float | None = None, prices: Prices = Prices(),  # noqa: B008
) -> Run:  # fmt: skip
    """What training a model takes. Without a utilization it is predicted from the device."""
    once, total = amounts(training, length, unit)
    executed = sum(total[name] for name in ("forward", "backward", "recomputation", "optimizer"))
    found = Run(
        training.forward.name, unit.name, machine, length.samples, length.epochs, length.batch,
        length.steps, once, total, executed, total["forward"] + total["backward"],
        utilized(utilization), coverage=training.profile.coverage,
        unknown=training.profile.not_counted(), by=training.by,
    )  # fmt: skip
    if machine is not None:
        if utilization is None:
            found = _predicted(found, training, machine, length)
        else:
            found = _timed(found, machine, utilization)
    found = replace(priced(found, machine, prices), notes=tuple(_notes(found, machine)))
    found = replace(found, readings=readings(found))
    return replace(found, formulas=tuple(formulas(found, length, prices)))


def amount(
    operations: float | None, machine: Machine | None, utilization: float | None,
    prices: Prices = Prices(), name: str = "",  # noqa: B008
) -> Run:  # fmt: skip
    """A run of which only the operations are known."""
    if operations is None:
        raise FlopwiseError("nothing to train: name a model, or give --operations 2.52e18")
    if operations <= 0:
        raise FlopwiseError(f"operations must be above 0, not {operations:g}")
    if machine is not None and utilization is None:
        raise FlopwiseError("an amount of operations tells no utilization: give --utilization")
    found = Run(
        name or "the run", "operations", machine, None, None, None, None, {}, {}, operations,
        operations, utilized(utilization),
    )  # fmt: skip
    if machine is not None and utilization is not None:
        found = _timed(found, machine, utilization)
    found = priced(found, machine, prices)
    return replace(found, formulas=tuple(formulas(found, None, prices)))


def _timed(found: Run, machine: Machine, utilization: float) -> Run:
    seconds = found.operations / (machine.peak * machine.count * utilization)
    return replace(found, seconds=seconds)


def _predicted(found: Run, training: Training, machine: Machine, length: Length) -> Run:
    """Kernel by kernel, as `predict` has it; devices are taken to share the work freely."""
    if machine.device is None:
        raise UnknownName(f"nothing is known of {machine.name} but its rate: give --utilization")
    predicted = predict(training.graph, machine.device)
    steps = length.steps * length.accumulate
    seconds, (low, high) = predicted.latency_s * steps, predicted.band_s
    share = found.operations / (seconds * machine.peak * machine.count)
    return replace(
        found, seconds=seconds, utilization=share, predicted=True, band=(low * steps, high * steps)
    )


def priced(found: Run, machine: Machine | None, prices: Prices) -> Run:
    """Energy is the boards' power throughout, times what the data centre adds."""
    hours = found.device_hours
    if hours is None or machine is None:
        return found
    energy = hours * machine.power * prices.overhead / 1e3 if machine.power else None
    return replace(
        found, energy_kwh=energy,
        cost=None if prices.hour is None else hours * prices.hour,
        co2e_kg=None if prices.carbon is None or energy is None else energy * prices.carbon / 1e3,
    )  # fmt: skip


def _notes(found: Run, machine: Machine | None) -> Iterator[str]:
    if machine is not None and machine.count > 1:
        yield "communication between devices is not counted: give --data"
    if machine is not None and machine.power is None and machine.device is not None:
        yield f"nothing tells the power of {machine.name}: give --power"
    if found.coverage < 1:
        yield "operators without a formula are left out: the run takes more than this"


def formulas(found: Run, length: Length | None, prices: Prices) -> Iterator[Formula]:
    if length is not None:
        parts = [f"{found.total[n]:.4g}" for n in ("forward", "backward", "recomputation")]
        yield Formula(
            "operations",
            "(forward + backward + recomputation) per step x samples x epochs / batch "
            "+ optimizer x steps x devices",
            f"{' + '.join(parts)} + {found.total['optimizer']:.4g} = {found.operations:.4g}",
        )
        yield Formula(
            "steps", "ceil(samples / (batch x devices x accumulation)) x epochs",
            f"ceil({length.samples:g} / ({length.batch} x {length.count} x {length.accumulate})) "
            f"x {length.epochs:g} = {length.steps}",
        )  # fmt: skip
    machine = found.machine
    if machine is None or found.seconds is None or found.utilization is None:
        return
    yield Formula(
        "time", "operations / (devices x peak x HFU)",
        f"{found.operations:.4g} / ({machine.count} x {machine.peak:.4g} x "
        f"{found.utilization:.4g}) = {found.seconds:.4g} s = {found.seconds / DAY:.4g} days",
    )  # fmt: skip
    yield Formula(
        "MFU", "HFU x (forward + backward) / operations",
        f"{found.utilization:.4g} x {found.model_operations:.4g} / {found.operations:.4g} = "
        f"{found.mfu or 0:.4g}",
    )  # fmt: skip
    yield from _bills(found, machine, prices)


def _bills(found: Run, machine: Machine, prices: Prices) -> Iterator[Formula]:
    hours = found.device_hours or 0.0
    yield Formula(
        "device-hours", "time x devices / 3600",
        f"{found.seconds:.4g} x {machine.count} / {HOUR:g} = {hours:.4g}",
    )  # fmt: skip
    if found.energy_kwh is not None:
        yield Formula(
            "energy", "device-hours x power x PUE / 1000",
            f"{hours:.4g} x {machine.power:g} x {prices.overhead:g} / 1000 = "
            f"{found.energy_kwh:.4g} kWh",
        )  # fmt: skip
    if found.cost is not None:
        yield Formula(
            "cost", "device-hours x price", f"{hours:.4g} x {prices.hour:g} = {found.cost:.4g}"
        )
    if found.co2e_kg is not None:
        yield Formula(
            "CO2e", "energy x carbon intensity / 1000",
            f"{found.energy_kwh:.4g} x {prices.carbon:g} / 1000 = {found.co2e_kg:.4g} kg",
        )  # fmt: skip


def given(found: Run, operations: float) -> Run:
    """A run beside an amount that somebody gave for it: which reading that amount is."""
    times = operations / found.model_operations
    near = min(found.readings, key=lambda r: abs(r.operations / operations - 1), default=None)
    why = "no reading of ours comes near it"
    if near is not None and abs(near.operations / operations - 1) < CLOSE:
        why = f"within {abs(near.operations / operations - 1):.1%} it is the {near.name} of the run"
    seconds = found.seconds and found.seconds * operations / found.operations
    mine = Reading("the amount given", operations, seconds, times, why)
    return replace(found, readings=(mine, *found.readings))
