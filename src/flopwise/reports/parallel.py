"""A training step on many devices as text, or as a dict with stable keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flopwise.analyses.parallel.layout import Layout
from flopwise.reports import short


def lines(found: Layout) -> Iterator[str]:
    """What a device holds, what it says, and where the time of a step goes."""
    held, job = found.held, found.job
    tokens = f" of {job.seq:,} tokens" if job.seq > 1 else ""
    yield f"  a step of {found.samples:,} samples{tokens} on {found.split}: {_time(found.seconds)}"
    yield f"    computing {_time(found.computing)}, update {_time(found.update)}" + (
        f", bubble {_time(found.waiting)} ({found.bubble:.1%})" if found.bubble else ""
    )
    for message in found.messages:
        yield (
            f"    {message.what}: {message.times:,} x {message.kind}, {_bytes(message.sent)} sent, "
            f"{_time(message.seconds(found.link))}, {_time(found.exposed[message.what])} waited for"
        )
    stage = f" (stage {found.place + 1} of {len(found.stages)})" if len(found.stages) > 1 else ""
    yield f"  memory of the fullest device{stage}: {_bytes(held.total)}, {_fits(found)}"
    yield (
        f"    weights {_bytes(held.weights)}, gradients {_bytes(held.gradients)}, "
        f"optimizer {_bytes(held.states)}, activations {_bytes(held.activations)}, "
        f"working {_bytes(held.working)}"
    )


def table(found: Iterable[Layout]) -> str:
    """Several splits, best first."""
    rows = [("split", "micro-batch", "recompute", "step", "MFU", "bubble", "waits", "memory")]
    for one in found:
        waits = sum(one.exposed.values()) / one.seconds
        rows.append((
            str(one.split), f"{one.job.batch} x {one.job.micro}", one.job.recompute,
            _time(one.seconds), f"{one.mfu:.1%}", f"{one.bubble:.1%}", f"{waits:.1%}",
            _bytes(one.held.total),
        ))  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(t.ljust(w) for t, w in zip(row, widths)).rstrip() for row in rows)


def to_dict(found: Layout) -> dict[str, Any]:
    """The step with its stable keys: seconds, bytes."""
    split, job, held = found.split, found.job, found.held
    return {
        "split": {
            name: getattr(split, name)
            for name in ("data", "tensor", "pipeline", "context", "expert", "zero", "interleave",
                         "sequence", "devices")
        },
        "batch": job.batch, "micro_batches": job.micro, "seq": job.seq, "samples": found.samples,
        "dtype": job.dtype, "gradients": job.gradients, "recompute": job.recompute,
        "optimizer": job.optimizer,
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
    room = f"{_bytes(found.device.memory_bytes)}"
    return f"fits in {room}" if found.fits else f"does not fit in {room}"


def _bytes(amount: float) -> str:
    return f"{amount / 2**30:.3g} GiB" if amount >= 2**27 else f"{short(amount)}B"


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"
