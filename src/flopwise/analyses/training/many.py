"""A run of which each step is spread over devices."""

from __future__ import annotations

from dataclasses import replace

from flopwise.analyses.parallel.formulas import formulas as of_layout
from flopwise.analyses.parallel.layout import Layout
from flopwise.analyses.parallel.piece import PHASES
from flopwise.analyses.training.budget import formulas, priced, utilized
from flopwise.analyses.training.machine import Machine
from flopwise.analyses.training.run import Length, Prices, Run, readings

# Of the time: nine of ten published runs took between these (docs/training-runs.md).
BAND = (1.0, 1.9)


def run(
    found: Layout, machine: Machine, samples: float | None, epochs: float,
    utilization: float | None, prices: Prices,
) -> Run:  # fmt: skip
    """A run of so many samples, or of one step. Raises FlopwiseError."""
    job, split = found.job, found.split
    given = float(found.samples) if samples is None else samples
    length = Length(given, epochs, job.batch, split.data, job.micro)
    times = length.samples * length.epochs / found.samples
    once = {name: found.phase(name) for name in PHASES} | {"optimizer": 0}
    total = {name: amount * times if amount else 0 for name, amount in once.items()}
    model, executed = found.model_operations * times, found.operations * times
    machine = replace(machine, count=split.devices)
    seconds, band = found.seconds * length.steps, None
    if utilization is None:
        band = (seconds * BAND[0], seconds * BAND[1])
    else:
        seconds = executed / (found.peak * utilization)
    share = utilized(utilization) or executed / (seconds * found.peak)
    made = Run(
        found.name, "flops", machine, length.samples, epochs, job.batch, length.steps, once,
        total, executed, model, share, utilization is None, seconds, band, by=found.by,
        coverage=found.coverage, unknown=found.unknown, layout=found,
    )  # fmt: skip
    made = priced(made, machine, prices)
    made = replace(made, readings=readings(made), notes=tuple(_notes(found)))
    return replace(made, formulas=(*formulas(made, length, prices), *of_layout(found)))


def _notes(found: Layout) -> list[str]:
    said = []
    if found.coverage < 1:
        said.append("operators without a formula are left out: the run takes more than this")
    if found.fits is False:
        said.append("a step does not fit: times are as if it did")
    if found.split.tensor > found.link.devices:
        said.append(f"a tensor parallel group is larger than a node of {found.link.devices}")
    if found.split.expert > 1:
        said.append("experts are taken to be chosen evenly")
    return said
