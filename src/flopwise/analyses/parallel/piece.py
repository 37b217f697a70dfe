"""A part of a network on one device, for one micro-batch: counted, timed, and what it keeps."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod

from flopwise.analyses.efficiency import efficiency
from flopwise.analyses.liveness import walk
from flopwise.analyses.parallel.split import Job
from flopwise.analyses.roofline import predict
from flopwise.analyses.serving.blocks import GATHERED
from flopwise.analyses.serving.timing import MEMORY, reach
from flopwise.analyses.training.step import again, phase, reading
from flopwise.devices import Device
from flopwise.graph import Graph, Tensor
from flopwise.passes.backward import Segment, backward
from flopwise.passes.narrow import ORIGIN, narrow
from flopwise.profile import profile

PHASES = ("forward", "backward", "recomputation")
PRODUCTS = ("linear", "matmul", "attention")
ATTENTION = "multi_head_attention"
EIGHT = "float8"


@dataclass(frozen=True)
class Piece:
    """Learned elements, of which some are in experts; bytes of optimizer states if none were
    spread; operations (2 for each multiply-accumulate) and seconds by phase; bytes that wait for
    the backward, and the most that live beside them while it runs; `few` are the elements of
    which there is a copy in 8 bits."""

    name: str
    weights: int
    experts: int
    state: float
    operations: Mapping[str, float]
    seconds: Mapping[str, float]
    saved: float
    working: float
    few: int = 0

    @property
    def dense(self) -> int:
        return self.weights - self.experts


def piece(
    name: str, graph: Graph, job: Job, device: Device, wanted: Iterable[str] = (),
    elsewhere: Container[str] = (), few: Container[str] = (),
) -> Piece:  # fmt: skip
    """From the forward graph of a part, whose backward is by rule. Weights that are `elsewhere`
    are those of another piece; `few` are those whose products are in `job.matmul`."""
    step = backward(graph, job.autograd, segments(graph, job.recompute), wanted)
    return counted(name, step.graph, job, device, elsewhere, few if job.matmul else ())


def counted(
    name: str, step: Graph, job: Job, device: Device, elsewhere: Container[str] = (),
    few: Container[str] = (),
) -> Piece:  # fmt: skip
    """From the graph of forward and backward together."""
    rows = profile(step, reading("flops"))
    learned = [t for t in rows.weights if t.trainable and t.name not in elsewhere]
    operations = dict.fromkeys(PHASES, 0.0)
    for row in rows.rows:
        operations[phase(row.node)] += float(row.total.flops)  # type: ignore[arg-type]
        operations["recomputation"] += float(again(row).flops)  # type: ignore[arg-type]
    run = narrow(step, few, job.matmul) if job.matmul else step
    saved, most = held(run)
    return Piece(
        name, _elements(learned), _elements(t for t in learned if t.name.startswith(EXPERTS)),
        float(sum((job.kept.states(t) for t in learned), 0)),  # type: ignore[arg-type]
        operations, {p: _seconds(run, p, device) for p in PHASES}, saved, most - saved,
        _elements(t for t in learned if t.name in few),
    )  # fmt: skip


def _elements(tensors: Iterable[Tensor]) -> int:
    return int(sum((t.size for t in tensors), 0))  # type: ignore[arg-type]


EXPERTS = ("moe.gate", "moe.up", "moe.down")


def segments(graph: Graph, recompute: str) -> tuple[Segment, ...]:
    """What runs again: all of it, from its input; or the core of attention, which keeps much for
    few operations (Korthikanti et al. 2022, section 5)."""
    if recompute == "full":
        return (Segment(0, len(graph.nodes)),)
    if recompute == "selective":
        return tuple(Segment(i, i + 1) for i, n in enumerate(graph.nodes) if n.op == ATTENTION)
    return ()


def held(step: Graph) -> tuple[float, float]:
    """Bytes that the forward leaves for the backward, and the most at any time. What was gathered
    from other devices is kept in shares, and gathered again."""
    made = {t.name for t in step.outputs}
    gathers = [n for n in step.nodes if n.op == "tile" and GATHERED in n.name]
    ranks = {n.outputs[0].name: prod(n.attrs["repeats"]) for n in gathers}
    casts = [(n.outputs[0], n.inputs[0]) for n in step.nodes if n.origin == ORIGIN]
    ranks |= {made.name: ranks[of.name] for made, of in casts if of and of.name in ranks}
    saved, most, ended = 0.0, 0.0, False
    for at in walk(step):
        most = max(most, float(at.bytes))  # type: ignore[arg-type]
        if ended or phase(at.node) == "forward":
            continue
        ended = True
        for name, size in at.live.items():
            if name not in made and not name.startswith("grad("):
                saved += float(size) / ranks.get(name, 1)  # type: ignore[arg-type]
    return saved, max(most, saved)


def _seconds(step: Graph, name: str, device: Device) -> float:
    """As `predict` has it, with matrix products no faster than was measured on the device, and
    bytes no faster than 0.8 of its bandwidth, which is what decoders reach that are bound by it
    (`serving.timing`); the shares of `predict` are from cards with large caches."""
    nodes = tuple(n for n in step.nodes if phase(n) == name)
    if not nodes:
        return 0.0
    narrowed = {n.name for n in nodes if n.inputs and n.inputs[0] and n.inputs[0].dtype == EIGHT}
    more = {few: 1 / reach(device, EIGHT if few else "") - 1 for few in (True, False)}
    kernels, shares = predict(replace(step, nodes=nodes), device).kernels, efficiency(device).shares
    if device.kernels:  # they were measured themselves
        return sum(k.time_s for k in kernels)
    seconds = 0.0
    for k in kernels:
        products = k.compute_s * more[k.name in narrowed] if k.kind in PRODUCTS else 0.0
        reached = shares[k.kind].memory  # above 1: of caches, where bytes are not of the memory
        bytes_ = k.memory_s * (reached / MEMORY - 1) if MEMORY < reached <= 1 else 0.0
        seconds += k.time_s + products + bytes_
    return seconds
