"""The memory of a training step, with a timeline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flopwise.analyses.training_memory import TrainingMemory
from flopwise.analyses.training_memory.fit import Fit
from flopwise.reports import exact
from flopwise.reports import memory as size
from flopwise.reports.footprint import bars
from flopwise.reports.json import plain
from flopwise.reports.page import Page

SHOWN = 6


def page(found: TrainingMemory, explain: bool = False) -> Page:
    """Each kind of memory in all and at the peak, what lives then, and the bytes over time."""
    told, formulas = to_dict(found), ["\n".join(_formulas(found))] if explain else []
    blocks = ["\n".join(_lines(found)), *formulas]
    return Page(f"Memory of training {found.name}", blocks, told, told["timeline"])


def _lines(found: TrainingMemory) -> list[str]:
    fixed, recipe = found.static, found.recipe
    again = recipe.checkpoint if isinstance(recipe.checkpoint, str) else "optimal"
    states = f", states in {fixed.states}" if fixed.optimizer_bytes != 0 else ""
    how = f"{recipe.optimizer}{states}; checkpointing {again}"
    lines = [
        f"{found.name}: a training step holds {size(found.peak_bytes)} at its peak",
        f"  {exact(fixed.params)} parameters, {exact(fixed.trainable_params)} of them learn; {how}",
        f"  peak in {found.peak_phase} at {found.peak_at}",
        "",
        *_kinds(found),
        "",
        *_saved(found),
        *_living(found),
        *(() if found.fit is None else _fit(found.fit)),
    ]
    lines += [f"  note: {note}" for note in found.notes]
    if found.unknown:
        listed = ", ".join(f"{n} x {origin}" for origin, n in found.unknown.items())
        lines.append(f"  not known, and not in these numbers: {listed}")
    live = [moment.live_bytes for moment in found.timeline]
    picture = bars(live, found.peak_bytes)
    return [*lines, "", *picture] if picture else lines


def _kinds(found: TrainingMemory) -> Iterator[str]:
    yield f"  {'':<22}{'in all':>12}{'at the peak':>14}"
    for kind, amount in found.totals.items():
        here = size(found.at_peak[kind]) if kind in found.at_peak else ""
        yield f"  {kind:<22}{'' if amount is None else size(amount):>12}{here:>14}"
    yield f"  {'peak':<22}{'':>12}{size(found.peak_bytes):>14}"


def _saved(found: TrainingMemory) -> Iterator[str]:
    if found.saved_by_op:
        first = list(found.saved_by_op.items())[:SHOWN]
        yield "  saved by           " + ", ".join(f"{op} {size(b)}" for op, b in first)


def _living(found: TrainingMemory) -> Iterator[str]:
    if found.live_at_peak:
        first = found.live_at_peak[:SHOWN]
        yield "  alive at the peak  " + ", ".join(f"{t.name} {size(t.bytes)}" for t in first)


def _fit(fit: Fit) -> Iterator[str]:
    word = "fits" if fit.fits else "does not fit"
    yield f"  {word} in {size(fit.usable_bytes)} of {fit.device} ({size(fit.memory_bytes)})"
    if fit.largest_batch is not None:
        most = exact(fit.largest_batch) if fit.largest_batch else "none"
        yield f"  largest batch that fits: {most}"


def _formulas(found: TrainingMemory) -> Iterator[str]:
    for formula in found.formulas:
        yield f"  {formula.name}"
        yield f"    = {formula.letters}"
        yield f"    = {formula.numbers}"


def to_dict(found: TrainingMemory) -> dict[str, Any]:
    """The analysis with its stable keys; a symbolic number is a text."""
    fixed = found.static
    return {
        "schema": "flopwise/training-memory/1",
        "model": {"name": found.name},
        "recipe": _recipe(found),
        "params": plain(fixed.params),
        "trainable_params": plain(fixed.trainable_params),
        "weights_bytes": plain(fixed.weights_bytes),
        "master_bytes": plain(fixed.master_bytes),
        "gradients_bytes": plain(fixed.gradients_bytes),
        "optimizer_bytes": plain(fixed.optimizer_bytes),
        "saved_bytes": plain(found.saved_bytes),
        "saved_by_op": {op: plain(b) for op, b in found.saved_by_op.items()},
        "peak_bytes": plain(found.peak_bytes),
        "peak_at": found.peak_at,
        "peak_phase": found.peak_phase,
        "at_peak": {kind: plain(b) for kind, b in found.at_peak.items()},
        "live_at_peak": [
            {"name": t.name, "kind": t.kind, "bytes": plain(t.bytes)} for t in found.live_at_peak
        ],
        "timeline": [
            {"name": m.name, "op": m.op, "phase": m.phase, "live_bytes": plain(m.live_bytes)}
            for m in found.timeline
        ],
        "fit": None if found.fit is None else {
            "device": found.fit.device, "memory_bytes": found.fit.memory_bytes,
            "usable_bytes": found.fit.usable_bytes, "fits": found.fit.fits,
            "largest_batch": found.fit.largest_batch,
        },
        "formulas": [
            {"name": f.name, "letters": f.letters, "numbers": f.numbers} for f in found.formulas
        ],
        "notes": list(found.notes),
        "unknown": [{"origin": o, "count": n} for o, n in found.unknown.items()],
    }  # fmt: skip


def _recipe(found: TrainingMemory) -> dict[str, Any]:
    recipe = found.recipe
    again = recipe.checkpoint
    return {
        "optimizer": recipe.optimizer, "accumulate": recipe.accumulate, "loss": recipe.loss,
        "frozen": list(recipe.frozen), "amp": recipe.amp, "master_weights": recipe.masters,
        "states": found.static.states,
        "checkpoint": again if isinstance(again, str) else "optimal",
        "backend": recipe.autograd.backend, "fused_attention": recipe.autograd.fused_attention,
    }  # fmt: skip
