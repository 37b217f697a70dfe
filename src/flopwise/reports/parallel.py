"""A training step on many devices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from flopwise.analyses.parallel.layout import Layout
from flopwise.analyses.parallel.plan import Plan
from flopwise.analyses.parallel.stages import Stage
from flopwise.reports import memory, percent
from flopwise.reports.latency import duration
from flopwise.reports.page import Block, Grid, Page


def lines(found: Layout) -> Iterator[str]:
    """What a device holds, what it says, and where the time of a step goes."""
    held, job = found.held, found.job
    tokens = f" of {job.seq:,} tokens" if job.seq > 1 else ""
    over = f"{found.samples:,} samples{tokens} on {found.split}"
    inside = f", products in {job.matmul}" if job.matmul else ""
    yield f"  a step of {over}{inside}: {duration(found.seconds)}"
    yield f"    computing {duration(found.computing)}, update {duration(found.update)}" + (
        f", bubble {duration(found.waiting)} ({found.bubble:.1%})" if found.bubble else ""
    )
    for m in found.messages:
        took, waited = m.seconds(found.link), found.exposed[m.what]
        yield (
            f"    {m.what}: {m.times:,} x {m.kind}, {memory(m.sent)} sent, {duration(took)}, "
            f"{duration(waited)} waited for"
        )
    stage = f" (stage {found.place + 1} of {len(found.stages)})" if len(found.stages) > 1 else ""
    yield f"  memory of the fullest device{stage}: {memory(held.total)}, {_fits(found)}"
    yield (
        f"    weights {memory(held.weights)}, gradients {memory(held.gradients)}, "
        f"optimizer {memory(held.states)} (states in {job.kept.type(job.dtype)}"
        f"{', copies of weights in float32' if job.copy else ''})"
    )
    yield f"    activations {memory(held.activations)}, working {memory(held.working)}"
    yield from _stages(found)


def _stages(found: Layout) -> Iterator[str]:
    """Stages of a pipeline; those that are next to each other and have as many layers together."""
    if len(found.stages) == 1:
        return
    for _, group in groupby(range(len(found.stages)), lambda i: _kind(found.stages[i])):
        places = list(group)
        first, last = places[0], places[-1]
        name = f"stage {first + 1}" if first == last else f"stages {first + 1} to {last + 1}"
        each = [memory(found.memories[i].total) for i in dict.fromkeys((first, last))]
        yield (
            f"    {name}: {_kind(found.stages[first])}, "
            f"{duration(found.times[first])} a micro-batch, idle "
            f"{duration(found.idle(first))}, {' to '.join(dict.fromkeys(each))}"
        )


def _kind(stage: Stage) -> str:
    ends = [f"the {p.name}" for p, _ in stage.pieces if p.name != "layer"]
    return " and ".join([f"{stage.layers} layers", *ends])


def table(found: Iterable[Layout]) -> Grid:
    """Several splits, best first."""
    head = ["split", "micro-batches", "recompute", "step", "MFU", "bubble", "waits", "memory"]
    rows = [
        [
            str(one.split), f"{one.job.micro} of {one.job.batch}", one.job.recompute,
            duration(one.seconds), percent(one.mfu), percent(one.bubble), percent(one.waited),
            memory(one.held.total),
        ]
        for one in found
    ]  # fmt: skip
    return Grid(head, rows, 3)


def page(found: Plan) -> Page:
    """The best splits and why each is where it is; where none fits, what comes nearest."""
    head = f"{found.tried:,} splits divide the model, {found.fitting:,} fit"
    told = record(found)
    blocks: list[Block] = ["\n".join([f"{head}; the least memory is that of:",
                                      *lines(found.smallest)])]  # fmt: skip
    if found.best:
        why = [f"{s.split}: {'; '.join(r)}" for s, r in zip(found.best, found.reasons)]
        blocks = [f"{head}; the best:", table(found.best), "\n".join(why)]
    return Page("Splits", blocks, told, told["best"])


def record(found: Plan) -> dict[str, Any]:
    """The plan with its stable keys."""
    best = [
        {**to_dict(one), "reasons": list(reasons)}
        for one, reasons in zip(found.best, found.reasons)
    ]
    return {"schema": "flopwise/plan/1", "tried": found.tried, "fitting": found.fitting,
            "best": best, "smallest": to_dict(found.smallest)}  # fmt: skip


def to_dict(found: Layout) -> dict[str, Any]:
    """The step with its stable keys: seconds, bytes."""
    split, job, held = found.split, found.job, found.held
    return {
        "split": {
            name: getattr(split, name)
            for name in ("data", "tensor", "pipeline", "context", "expert", "zero", "interleave",
                         "sequence", "stages", "dual", "devices")
        },
        "batch": job.batch, "micro_batches": job.micro, "seq": job.seq, "samples": found.samples,
        "dtype": job.dtype, "matmul": job.matmul or job.dtype, "gradients": job.gradients,
        "recompute": job.recompute,
        "optimizer": job.optimizer, "states": job.kept.statement([job.dtype]),
        "master_weights": bool(job.copy),
        "step_seconds": found.seconds, "computing_seconds": found.computing,
        "bubble": found.bubble, "bubble_seconds": found.waiting, "update_seconds": found.update,
        "mfu": found.mfu, "hfu": found.hfu,
        "memory": {
            "weights_bytes": held.weights, "gradients_bytes": held.gradients,
            "optimizer_bytes": held.states, "activation_bytes": held.activations,
            "working_bytes": held.working, "total_bytes": held.total,
            "capacity_bytes": found.device.memory_bytes, "stage": found.place,
        },
        "fits": found.fits,
        "stages": [
            {
                "layers": stage.layers, "micro_batch_seconds": found.times[i],
                "idle_seconds": found.idle(i), "total_bytes": found.memories[i].total,
            }
            for i, stage in enumerate(found.stages)
        ],
        "messages": [
            {
                "what": m.what, "kind": m.kind, "bytes": m.bytes, "devices": m.size,
                "times": m.times, "sent_bytes": m.sent, "seconds": m.seconds(found.link),
                "waited_seconds": found.exposed[m.what],
            }
            for m in found.messages
        ],
    }  # fmt: skip


def _fits(found: Layout) -> str:
    if found.device.memory_bytes is None:
        return "its capacity is not known"
    room = f"{memory(found.device.memory_bytes)}"
    return f"fits in {room}" if found.fits else f"does not fit in {room}"
