"""A whole training run: operations, time, device-hours, energy, money, CO2e.

    operations = (forward + backward + recomputation) x samples x epochs + optimizer x steps
    time       = operations / (devices x peak x utilisation)

Utilisation is that of the hardware (HFU: everything it executes). The model's own (MFU) counts
forward and backward alone: Chowdhery et al. 2022 (PaLM), appendix B.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from flopwise.analyses.training.machine import Machine
from flopwise.analyses.training.step import PHASES, Training
from flopwise.conventions import Convention
from flopwise.dims import Expr
from flopwise.errors import FlopwiseError, UnknownSize

if TYPE_CHECKING:
    from flopwise.analyses.parallel.layout import Layout

DAY, HOUR = 86400.0, 3600.0


@dataclass(frozen=True)
class Prices:
    """Money per device-hour, grams of CO2e per kWh, and the share of power that a data centre
    takes beside its devices (power usage effectiveness: 1 is none)."""

    hour: float | None = None
    carbon: float | None = None
    overhead: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("price", self.hour), ("carbon", self.carbon)):
            if value is not None and value < 0:
                raise FlopwiseError(f"a {name} of {value} is below 0")
        if self.overhead < 1:
            raise FlopwiseError(f"a power usage effectiveness of {self.overhead} is below 1")


@dataclass(frozen=True)
class Formula:
    """One number of a run, in letters and in numbers."""

    name: str
    letters: str
    numbers: str


@dataclass(frozen=True)
class Reading:
    """The same run as somebody else would count it: `times` what we count."""

    name: str
    operations: float
    seconds: float | None
    times: float
    why: str


@dataclass(frozen=True)
class Run:
    """A training run. Seconds, hours, kWh, kg; None where nothing tells (no device, no price).

    `per_step` and `total` are operations by phase, in the reading named by `unit`, the backward
    by "rule" or by "trace" (empty where only an amount is known); `layout` is how a step is spread
    over devices, where that was asked for;
    `band` is where the time is taken to lie when the utilisation was predicted.
    """

    name: str
    unit: str
    machine: Machine | None
    samples: float | None
    epochs: float | None
    batch: int | None
    steps: int | None
    per_step: Mapping[str, Any]
    total: Mapping[str, float]
    operations: float
    model_operations: float
    utilization: float | None
    predicted: bool = False
    seconds: float | None = None
    band: tuple[float, float] | None = None
    energy_kwh: float | None = None
    cost: float | None = None
    co2e_kg: float | None = None
    readings: tuple[Reading, ...] = ()
    formulas: tuple[Formula, ...] = ()
    notes: tuple[str, ...] = ()
    coverage: float = 1.0
    unknown: Mapping[str, int] = field(default_factory=dict)
    by: str = ""
    layout: Layout | None = None

    @property
    def days(self) -> float | None:
        return None if self.seconds is None else self.seconds / DAY

    @property
    def device_hours(self) -> float | None:
        if self.seconds is None or self.machine is None:
            return None
        return self.seconds * self.machine.count / HOUR

    @property
    def step_seconds(self) -> float | None:
        return None if self.seconds is None or not self.steps else self.seconds / self.steps

    @property
    def hfu(self) -> float | None:
        """The share of the peak in everything that is executed."""
        return self.utilization

    @property
    def mfu(self) -> float | None:
        """The share of the peak in forward and backward alone."""
        if self.utilization is None or not self.operations:
            return None
        return self.utilization * self.model_operations / self.operations


@dataclass(frozen=True)
class Length:
    """How long a run is. Raises FlopwiseError for what cannot be."""

    samples: float
    epochs: float
    batch: int
    count: int = 1
    accumulate: int = 1

    def __post_init__(self) -> None:
        for name, value in (("samples", self.samples), ("epochs", self.epochs)):
            if value <= 0:
                raise FlopwiseError(f"{name} must be above 0, not {value:g}")
        for name, number in (("devices", self.count), ("batch", self.batch)):
            if number < 1:
                raise FlopwiseError(f"{name} must be 1 or more, not {number}")

    @property
    def together(self) -> int:
        """Samples per step, of all devices."""
        return self.batch * self.count * self.accumulate

    @property
    def steps(self) -> int:
        """Steps in all; the last of an epoch may be smaller."""
        whole = int(-(-self.samples // self.together))
        return max(round(whole * self.epochs), 1)


def batch_of(training: Training) -> int:
    """The first axis of the model's inputs. Raises UnknownSize."""
    sizes = {t.shape[0] for t in training.forward.inputs if t.shape and "·" not in t.name}
    size = sizes.pop() if len(sizes) == 1 else None
    if isinstance(size, Expr):
        raise UnknownSize(f"a batch of {size} is no number; give --batch")
    if size is None:
        raise UnknownSize("the inputs do not agree on a batch; give --samples-per-batch N")
    return size


def amounts(training: Training, length: Length, unit: Convention) -> tuple[Any, Any]:
    """Operations by phase: of one step of all devices, and of the run. Raises UnknownSize."""
    once = training.operations(unit)
    for name, amount in once.items():
        if isinstance(amount, Expr):
            raise UnknownSize(f"{name}: {amount} is no number; a run needs every size")
    batches = Fraction(length.samples) * Fraction(length.epochs) / length.batch
    total = {name: _number(once[name] * batches) for name in PHASES[:3]}
    total["optimizer"] = once["optimizer"] * length.steps * length.count
    often = dict.fromkeys(PHASES, length.count * length.accumulate) | {"optimizer": length.count}
    return {name: once[name] * often[name] for name in PHASES}, total


def _number(value: Fraction) -> float:
    """An int where it is one, so that no digit is lost."""
    return int(value) if value.denominator == 1 else float(value)


def readings(run: Run) -> tuple[Reading, ...]:
    """The run as tables of "FLOPs" make people count it, and what that leaves out."""
    if run.unit != "flops" or not run.total["forward"]:
        return ()
    forward, backward = run.total["forward"], run.total["backward"]
    ratio = backward / forward
    given = (
        ("forward multiply-accumulates", forward / 2,
         f"a multiply-accumulate is 2 operations, and backward is {ratio:.3g} x forward"),
        ("forward operations", forward, f"backward is {ratio:.3g} x forward"),
        ("forward and backward", forward + backward, "what a model needs: the MFU counts these"),
        ("all that is executed", run.operations, "with what is computed again"),
    )  # fmt: skip
    kept = given if run.operations > forward + backward else given[:3]
    return tuple(
        Reading(name, amount, run.seconds and run.seconds * amount / run.operations,
                amount / run.model_operations, why)
        for name, amount, why in kept
    )  # fmt: skip
