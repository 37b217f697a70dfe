"""Each number of a step on many devices: in letters, then in numbers."""

from __future__ import annotations

from collections.abc import Iterator

from flopwise.analyses.parallel.exchange import SHARE, Message
from flopwise.analyses.parallel.layout import Layout, on_device, share
from flopwise.analyses.training.run import Formula
from flopwise.graph import BITS

LETTERS = {
    "all-reduce": "2 (n - 1)/n x bytes", "all-gather": "(n - 1)/n x bytes",
    "reduce-scatter": "(n - 1)/n x bytes", "all-to-all": "(n - 1)/n x bytes", "send": "bytes",
}  # fmt: skip


def formulas(found: Layout) -> Iterator[Formula]:
    """In the order in which one follows from the other."""
    yield from _memory(found)
    for message in found.messages:
        yield _message(message, found)
    yield from _time(found)


def _memory(found: Layout) -> Iterator[Formula]:
    job, split, held = found.job, found.split, found.held
    here = on_device(found.stages, found.place, split)
    weights, few, state = (sum(s.total(n) for s in here) for n in ("weights", "few", "state"))
    d, experts = split.replicas, sum(s.total("experts") for s in here)
    # Experts have fewer replicas: the share of all that one device keeps is no plain fraction.
    kept = f" x {share(weights, experts, split):.10g}" if experts and split.expert > 1 else ""
    w, g = BITS[job.dtype] / 8, BITS[job.gradients] / 8
    for least, name, each, result in (
        (3, "weights", w, held.weights), (2, "gradients", g, held.gradients),
    ):  # fmt: skip
        letters = "elements x bytes"
        over = (kept or f" / {d}") if split.zero >= least and d > 1 else ""
        eight = f" + {few:,} x 1" if name == "weights" and few else ""
        letters += " + copies in 8 bits" if eight else ""
        letters += " / replicas (ZeRO)" if over else ""
        amount = f"({weights:,} x {each:g}{eight})" if eight and over else (
            f"{weights:,} x {each:g}{eight}"
        )  # fmt: skip
        yield Formula(f"{name} of a device", letters, f"{amount}{over} = {_gib(result)}")
    copy = " + 4 x elements" if job.copy else ""
    over = (kept or f" / {d}") if split.zero and d > 1 else ""
    over += f" / {len(here)}" if split.zero and len(here) > 1 else ""
    yield Formula(
        "optimizer of a device",
        f"(states of {job.optimizer} in {job.kept.statement([job.dtype])}{copy})"
        f"{' / replicas (ZeRO)' if over else ''}",
        f"({state:,.0f}{f' + 4 x {weights:,}' if copy else ''}){over} = "
        f"{_gib(held.states)}",
    )  # fmt: skip
    saved = sum(s.total("saved") for s in here) / len(here)
    yield Formula(
        "activations of a device", "bytes that wait for the backward x micro-batches that wait",
        f"{saved:.4g} x {held.activations / saved if saved else 0:.4g} = "
        f"{_gib(held.activations)} (stage {found.place + 1} of {split.pipeline})",
    )  # fmt: skip


def _message(m: Message, found: Layout) -> Formula:
    near, far = m.paths(found.link)
    rate = found.link.network if far else found.link.bandwidth
    where = "to other nodes" if far else "inside a node"
    return Formula(
        m.what, f"times x ({LETTERS[m.kind]}) / (link x {SHARE:g}), {where}",
        f"{m.times:,} x {m.kind} of {m.bytes:.4g} B over n = {m.size}; {m.each:.4g} B each, "
        f"{far or near:.4g} B at {rate or 0:.4g} B/s = "
        f"{m.seconds(found.link):.4g} s, of which {found.exposed[m.what]:.4g} s are waited for",
    )  # fmt: skip


def _time(found: Layout) -> Iterator[Formula]:
    split = found.split
    if split.pipeline > 1:
        yield Formula(
            "bubble", "(p/2 - 1) (F&B + B - 3 W)" if split.dual else
            "(a micro-batch on all stages - on the slowest) / v",
            ("" if split.dual else
             f"({sum(found.times):.4g} - {max(found.times):.4g}) / {split.interleave} = ")
            + f"{found.waiting:.4g} s, {found.bubble:.4g} of the time of the micro-batches",
        )  # fmt: skip
    exposed = sum(found.exposed.values())
    yield Formula(
        "step", "computing + messages waited for + bubble + update",
        f"{found.computing:.4g} + {exposed:.4g} + {found.waiting:.4g} + {found.update:.4g} = "
        f"{found.seconds:.4g} s",
    )  # fmt: skip


def _gib(amount: float) -> str:
    return f"{amount / 2**30:.4g} GiB"
