"""One training step on many devices: memory of each, messages, bubble, time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from flopwise.analyses.parallel.exchange import Message
from flopwise.analyses.parallel.split import Job, Split
from flopwise.analyses.parallel.stages import Stage
from flopwise.analyses.serving.timing import MEMORY
from flopwise.devices import Device, Link
from flopwise.errors import FlopwiseError
from flopwise.graph import BITS

MEMORY_SHARE = 0.95  # of a device's memory: contexts and fragments take the rest
NOWHERE = Link(1.0, 1)


@dataclass(frozen=True)
class Held:
    """Bytes on one device: weights, gradients, optimizer states (with the 32-bit copy of
    weights), activations that wait for their backward, and what one piece works with."""

    weights: float
    gradients: float
    states: float
    activations: float
    working: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.states + self.activations + self.working


@dataclass(frozen=True)
class Layout:
    """A step of a job on a split. Seconds; `memories` and `times` are of each stage, the latter of
    one micro-batch with the messages that it waits for; `waiting` is what the slowest stage waits
    for others; `exposed` is what messages take that devices wait for, by name. The backward is
    `by` rule or trace; `unknown` are operators that are not counted."""

    name: str
    device: Device
    link: Link
    split: Split
    job: Job
    stages: tuple[Stage, ...]
    memories: tuple[Held, ...]
    times: tuple[float, ...]
    messages: tuple[Message, ...]
    computing: float
    exposed: dict[str, float]
    waiting: float
    update: float
    by: str = "rule"
    coverage: float = 1.0
    unknown: Mapping[str, int] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.computing + sum(self.exposed.values()) + self.waiting + self.update

    @property
    def place(self) -> int:
        """The fullest stage."""
        return max(range(len(self.memories)), key=lambda i: self.memories[i].total)

    @property
    def held(self) -> Held:
        """On a device of the fullest stage."""
        return self.memories[self.place]

    @property
    def busy(self) -> float:
        """Seconds that the slowest stage takes for its micro-batches."""
        return self.job.micro * max(self.times)

    @property
    def bubble(self) -> float:
        """What the slowest stage waits for others, of the time of its micro-batches."""
        return self.waiting / self.busy if self.busy else 0.0

    def idle(self, stage: int) -> float:
        """Seconds that a stage has nothing to do while micro-batches go through the pipeline."""
        return self.waiting + self.busy - self.job.micro * self.times[stage]

    @property
    def waited(self) -> float:
        """The share of a step in messages that devices wait for."""
        return sum(self.exposed.values()) / self.seconds

    @property
    def samples(self) -> int:
        return self.job.samples(self.split)

    def phase(self, name: str) -> float:
        """Operations of a step on all devices."""
        ranks = self.split.tensor * self.split.replicas * self.job.micro
        return ranks * sum(stage.operations(name) for stage in self.stages)

    @property
    def model_operations(self) -> float:
        """Forward and backward of a step, on all devices."""
        return self.phase("forward") + self.phase("backward")

    @property
    def operations(self) -> float:
        """All that is executed."""
        return self.model_operations + self.phase("recomputation")

    @property
    def peak(self) -> float:
        return self.device.rate(self.job.dtype) * self.split.devices

    @property
    def mfu(self) -> float:
        return self.model_operations / (self.seconds * self.peak)

    @property
    def hfu(self) -> float:
        return self.operations / (self.seconds * self.peak)

    @property
    def fits(self) -> bool | None:
        room = self.device.memory_bytes
        return None if room is None else self.held.total <= room * MEMORY_SHARE


def layout(
    name: str, stages: tuple[Stage, ...], split: Split, job: Job, device: Device,
    link: Link | None = None,
) -> Layout:  # fmt: skip
    """Raises FlopwiseError where nothing tells how fast the devices talk."""
    link = link or device.link
    if link is None and split.devices > 1:
        raise FlopwiseError(
            f"nothing tells how {device.name} are connected: give --link (bytes/s each way inside "
            "a node, as 300G), --node (devices in one) and --network (to other nodes)"
        )
    link = link or NOWHERE
    times = tuple(s.computing + _waited(s, link) for s in stages)
    slowest = stages[times.index(max(times))]
    held = tuple(_held(stages, i, split, job) for i in range(len(stages)))
    said = (*(replace(m, times=m.times * job.micro) for m in slowest.messages),
            *_spread(max(stages, key=lambda s: s.total("weights")), split, job))  # fmt: skip
    computing = slowest.computing * job.micro
    found = max(held, key=lambda h: h.total)
    return Layout(
        name, device, link, split, job, stages, held, times, said, computing,
        _exposed(said, slowest, job, link),
        _bubble(slowest, times, split),
        # Weights, gradients and states are read, weights and states written.
        2 * (found.weights / _parts(split, 3) + found.states) / (device.bandwidth * MEMORY),
    )  # fmt: skip


def _bubble(slowest: Stage, times: tuple[float, ...], split: Split) -> float:
    """A micro-batch goes through all stages, the others follow at the pace of the slowest; with v
    pieces a v-th of that. Of equal stages it is (p - 1)/(v m) of the time of the micro-batches
    (Narayanan et al. 2021, section 2.2). DualPipe: (p/2 - 1)(F&B + B - 3W) (DeepSeek-V3, table 2),
    where the gradients of weights, W, are half of a backward."""
    if not split.dual:
        return (sum(times) - max(times)) / split.interleave
    back = slowest.seconds("backward") + slowest.seconds("recomputation")
    both, weights = slowest.seconds("forward") + back, slowest.seconds("backward") / 2
    return (split.pipeline / 2 - 1) * (both + back - 3 * weights)


def _parts(split: Split, zero: int) -> int:
    return split.replicas if split.zero < zero else 1


def _waited(stage: Stage, link: Link) -> float:
    """Seconds of a micro-batch in messages, and in those that computing does not cover."""
    bare = sum(m.seconds(link) for m in stage.messages if not m.hidden)
    beside = sum(m.seconds(link) for m in stage.messages if m.hidden)
    return bare + max(0.0, beside - stage.computing)


def _exposed(
    messages: tuple[Message, ...], stage: Stage, job: Job, link: Link
) -> dict[str, float]:  # fmt: skip
    """What of the messages' times no computing covers; those behind the same computing share it."""
    covers = {"micro": stage.computing * job.micro, "step": stage.seconds("backward"), "": 0.0}
    wanted = dict.fromkeys(covers, 0.0)
    for message in messages:
        wanted[message.hidden] += message.seconds(link)
    bare = {h: max(0.0, 1 - covers[h] / t) if t else 0.0 for h, t in wanted.items()}
    return {m.what: m.seconds(link) * bare[m.hidden] for m in messages}


def _held(stages: tuple[Stage, ...], place: int, split: Split, job: Job) -> Held:
    """Rajbhandari et al. 2020 (ZeRO), section 5, for what is spread over the data axis; a piece
    that is gathered is there as a whole while it works."""
    here = on_device(stages, place, split)
    w, g = BITS[job.dtype] / 8, BITS[job.gradients] / 8
    weights, experts, few, state = (
        sum(s.total(n) for s in here) for n in ("weights", "experts", "few", "state")
    )
    # Experts have as many replicas fewer as devices share them.
    one = {z: share(weights, experts, split) if split.zero >= z else 1.0 for z in (1, 2, 3)}
    copy = job.copy * weights
    pieces = [p for s in here for p, _ in s.pieces]
    gathered = max(p.weights for p in pieces) * w if split.zero == 3 else 0.0
    # Of states that are spread, those of both stages are spread over twice as many.
    twice = len(here) if split.zero else 1
    return Held(
        (weights * w + few) * one[3], weights * g * one[2], (state + copy) * one[1] / twice,
        _waits(place, split, job) * sum(s.total("saved") for s in here) / len(here),
        max(s.working for s in here) + gathered,
    )  # fmt: skip


def on_device(stages: tuple[Stage, ...], place: int, split: Split) -> list[Stage]:
    """The stages that one device has: of DualPipe, the one from the other end too."""
    return [stages[place], *([stages[-1 - place]] if split.dual else [])]


def share(weights: float, experts: float, split: Split) -> float:
    """Of what a stage has, the part that one device of the data axis keeps."""
    if not weights:
        return 1.0
    dense = (weights - experts) / split.replicas
    return (dense + experts * split.expert / split.replicas) / weights


def _waits(place: int, split: Split, job: Job) -> float:
    """Micro-batches whose activations wait at the fullest moment of 1F1B: p - i at stage i; with
    v pieces of a stage, in pieces, 2 (p - i - 1) + (v - 1) p + 1 (Megatron-LM's warm-up)."""
    p, v = split.pipeline, split.interleave
    if split.dual:  # p + 1: DeepSeek-V3, table 2
        return min(p + 1, job.micro)
    pieces = p - place if v == 1 else 2 * (p - place - 1) + (v - 1) * p + 1
    return min(pieces, v * job.micro) / v


def _spread(stage: Stage, split: Split, job: Job) -> Iterator[Message]:
    """What is said over the data axis in a step (ZeRO, section 7): gradients are summed, which
    takes as much as a scatter and a gather; stage 3 gathers weights forward and backward."""
    experts = stage.total("experts")
    groups = (
        ("", stage.total("weights") - experts, split.replicas, split.tensor),
        (" of experts", experts, split.replicas // split.expert, split.tensor * split.expert),
    )
    w, g = BITS[job.dtype] / 8, BITS[job.gradients] / 8
    for what, weights, size, stride in groups:
        if not weights or size == 1:
            continue
        often = job.micro if split.zero >= 2 else 1
        hides = "micro" if split.zero == 3 or (split.zero == 2 and job.micro > 1) else "step"
        kind = "reduce-scatter" if split.zero else "all-reduce"
        yield Message(f"data: gradients{what}", kind, weights * g, size, stride, often, hides)
        if split.zero:
            times = 2 * job.micro if split.zero == 3 else 1
            hides = "micro" if split.zero == 3 else ""
            yield Message(f"data: weights{what}", "all-gather", weights * w, size, stride, times,
                          hides)  # fmt: skip
