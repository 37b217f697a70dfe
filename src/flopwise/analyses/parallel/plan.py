"""Which splits of K devices train a language model fastest, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flopwise.analyses.parallel.layout import Layout, layout
from flopwise.analyses.parallel.split import Job, Split
from flopwise.analyses.parallel.stages import of_decoder
from flopwise.analyses.serving.decoder import Decoder, Experts
from flopwise.devices import Device, Link
from flopwise.errors import FlopwiseError

LONG = 32768  # tokens from which on sequences are split
MICRO = (1, 2, 4, 8)
RECOMPUTED = ("none", "full")
INTERLEAVED = (1, 2, 4, 8)


@dataclass(frozen=True)
class Plan:
    """The best layouts that fit, fastest first; how many were tried and how many fit; the one
    that needs least memory, which tells what is missing where none fits."""

    best: tuple[Layout, ...]
    tried: int
    fitting: int
    smallest: Layout

    @property
    def reasons(self) -> tuple[tuple[str, ...], ...]:
        """For each of the best, what is good and bad about it."""
        return tuple(tuple(_reasons(one, self.best[0])) for one in self.best)


def plan(
    decoder: Decoder, device: Device, count: int, samples: int, job: Job,
    link: Link | None = None, most: int = 5,
) -> Plan:  # fmt: skip
    """The fastest splits of `count` devices for steps of so many samples, by trying every split
    that divides the model: fused attention, micro-batches of 1 to 8 samples, all or nothing run
    again. Raises FlopwiseError where none divides."""
    found = list(_layouts(decoder, device, count, samples, job, link))
    if not found:
        raise FlopwiseError(
            f"no split of {count} devices divides {decoder.name} and steps of {samples} samples"
        )
    fitting = sorted((x for x in found if x.fits is not False), key=lambda x: x.seconds)
    best: list[Layout] = []
    for one in fitting:  # of those with the same axes, the fastest
        if all(_axes(one) != _axes(other) for other in best):
            best.append(one)
    smallest = min(found, key=lambda x: x.held.total)
    return Plan(tuple(best[:most]), len(found), len(fitting), smallest)


def _axes(found: Layout) -> tuple[int, ...]:
    s = found.split
    return s.data, s.tensor, s.pipeline, s.context, s.expert


def _layouts(
    decoder: Decoder, device: Device, count: int, samples: int, job: Job, link: Link | None
) -> Iterator[Layout]:
    node = (link or device.link or Link(1, 1)).devices
    for split in _splits(decoder, count, node, job.seq):
        for batch in MICRO:
            together = split.data * batch
            if samples % together:
                continue
            for recompute in RECOMPUTED:
                step = replace(job, batch=batch, micro=samples // together, recompute=recompute)
                try:
                    stages = of_decoder(decoder, split, step, device)
                except FlopwiseError:
                    break  # it does not divide the model
                yield layout(decoder.name, stages, split, step, device, link)


def _splits(decoder: Decoder, count: int, node: int, seq: int) -> Iterator[Split]:
    """Tensor parallelism inside a node, experts in the data axis, weights spread (ZeRO-3) without
    a pipeline, states (ZeRO-1) with one."""
    experts = max((x.network.count for x in decoder.layers if isinstance(x.network, Experts)),
                  default=1)  # fmt: skip
    for tensor in _divisors(min(node, count)):
        for pipeline in (p for p in _divisors(count // tensor) if p <= len(decoder.layers)):
            for context in _divisors(16) if seq >= LONG else (1,):
                inner = tensor * pipeline * context
                if count % inner:
                    continue
                data = count // inner
                axes = Split(data, tensor, pipeline, context)
                for expert in (e for e in _divisors(experts) if data % e == 0):
                    for zero in (1, 3) if pipeline == 1 else (1,):
                        for interleave in INTERLEAVED if pipeline > 1 else (1,):
                            yield replace(axes, expert=expert, zero=zero, interleave=interleave)


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def _reasons(found: Layout, best: Layout) -> Iterator[str]:
    if found is not best:
        yield f"{found.seconds / best.seconds - 1:.1%} slower than the best"
    else:
        yield "the fastest that fits"
    capacity = found.device.memory_bytes
    if capacity:
        yield f"takes {found.held.total / capacity:.0%} of the memory"
    waits = {m.what: found.exposed[m.what] / found.seconds for m in found.messages}
    for what, share in sorted(waits.items(), key=lambda item: -item[1])[:2]:
        if share >= 0.01:
            yield f"{share:.1%} of a step waits for {what}"
    if found.bubble:
        yield f"the bubble takes {found.waiting / found.seconds:.1%}"
    again = found.operations / found.model_operations - 1
    if again >= 0.01:
        what = "run again to save memory" if found.job.recompute == "full" else (
            "scores of fused attention that its backward computes again"
        )  # fmt: skip
        yield f"{again:.0%} more operations, {what}"
