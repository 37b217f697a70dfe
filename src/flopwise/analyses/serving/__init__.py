"""What a decoder costs to serve: the prompt, each token after it, and the memory for both.

`families` reads a config.json, `graphs` makes operators of it, `work` what a device does in one
step, `timing` how long that takes. Prompts are computed in passes of `chunk` tokens and then
`batch` sequences make their outputs in step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from flopwise import devices
from flopwise.analyses.efficiency import CHECKED
from flopwise.analyses.memory import memory
from flopwise.analyses.serving import formats, graphs, timing
from flopwise.analyses.serving.blocks import Step
from flopwise.analyses.serving.decoder import Decoder, Experts, shard
from flopwise.analyses.serving.families import decoder as read
from flopwise.analyses.serving.plan import Guessing, Plan, planned
from flopwise.analyses.serving.timing import Machine, Seconds
from flopwise.analyses.serving.work import Load, Stored, loads, weight_bytes
from flopwise.devices import Device

# Of the time: what was measured of 13 published rows lies between (docs/serving.md).
BAND = (0.95, 1.35)
UNCHECKED = (1 / 3, 3.0)


@dataclass(frozen=True)
class Phase:
    """One kind of step: its multiply-accumulates as the textbook has them, on all devices; what
    one device does; its time."""

    step: Step
    macs: int
    loads: dict[str, Load]
    seconds: Seconds


@dataclass(frozen=True)
class Held:
    """Bytes on each device; `concurrency` is how many sequences fit (None: its memory is not
    known)."""

    weights: float
    activations: float
    shared: float
    sequence: float
    capacity: float | None
    concurrency: int | None

    def total(self, batch: int) -> float:
        """With so many sequences at their ends."""
        return self.weights + self.activations + self.shared + batch * self.sequence


@dataclass(frozen=True)
class Serving:
    """What was asked and what it takes. Times are seconds, `ttft` to the first token of all
    prompts, `tpot` for each token after it."""

    decoder: Decoder
    plan: Plan
    stored: Stored
    machine: Machine
    params: int
    active: int
    prefill: Phase
    decode: Phase
    held: Held
    guessing: Guessing | None = None
    draft: Seconds | None = None

    @property
    def ttft(self) -> float:
        return self.prefill.seconds.total

    @property
    def tpot(self) -> float:
        """With guessing: a pass of the model and those of the draft, for the tokens expected."""
        if self.guessing is None or self.draft is None:
            return self.decode.seconds.total
        whole = self.decode.seconds.total + self.guessing.tokens * self.draft.total
        return whole / self.guessing.expected

    @property
    def latency(self) -> float:
        """From the prompt to the last token; the first comes with the prompt."""
        return self.ttft + (self.plan.tokens - 1) * self.tpot

    @property
    def rate(self) -> float:
        """Tokens per second of all sequences, once their prompts are read."""
        return self.plan.batch / self.tpot

    @property
    def per_user(self) -> float:
        """Tokens per second of one sequence."""
        return 1 / self.tpot

    @property
    def overall(self) -> float:
        """Output tokens per second, prompts included."""
        return self.plan.batch * self.plan.tokens / self.latency

    @property
    def fits(self) -> bool | None:
        if self.held.concurrency is None:
            return None
        return self.plan.batch <= self.held.concurrency

    @property
    def band(self) -> tuple[float, float]:
        """What the true time is taken to be between, as factors of ours."""
        return BAND if self.machine.device.kind in CHECKED else UNCHECKED

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(_notes(self))


def serve(
    decoder: Decoder, device: Device, plan: Plan, guessing: Guessing | None = None
) -> Serving:  # fmt: skip
    """Cost, time and memory of a plan. Raises FlopwiseError."""
    weights = formats.weights(plan.weights or decoder.weights or decoder.dtype)
    cache = formats.cache(plan.cache or decoder.dtype)
    few = decoder.quantised if plan.weights in ("", decoder.weights) else "layers"
    stored = Stored(decoder.dtype, weights, cache, few)
    on = timing.machine(device, plan.ranks, plan.link, decoder.dtype, weights)
    part = shard(decoder, plan.ranks)
    found = Serving(
        decoder, plan, stored, on, graphs.params(decoder), graphs.active(decoder),
        _prefill(decoder, part, plan, stored, on),
        _decode(decoder, part, plan, stored, on, 1 + (guessing.tokens if guessing else 0)),
        _held(part, plan, stored, device, guessing),
    )  # fmt: skip
    if guessing is None:
        return found
    return replace(found, guessing=guessing, draft=_draft(guessing, plan, stored, device))


def _prefill(whole: Decoder, part: Decoder, plan: Plan, stored: Stored, on: Machine) -> Phase:
    new = plan.prompt - plan.prefix
    step = graphs.prefill(part, plan.batch, new, plan.prefix)
    found = {
        kind: replace(load, weights=load.weights * plan.passes, kernels=load.kernels * plan.passes)
        for kind, load in loads(part, step, stored).items()
    }
    return _phase(whole, plan, step, found, stored, on, plan.passes)


def _decode(
    whole: Decoder, part: Decoder, plan: Plan, stored: Stored, on: Machine, new: int
) -> Phase:  # fmt: skip
    step = graphs.decode(part, plan.batch, plan.context + new - 1, new)
    return _phase(whole, plan, step, loads(part, step, stored), stored, on, 1)


def _phase(
    whole: Decoder, plan: Plan, step: Step, found: dict[str, Load], stored: Stored, on: Machine,
    passes: int,
) -> Phase:  # fmt: skip
    tokens = float(step.batch * step.tokens) / passes
    sent, sums = timing.exchanged(whole, tokens, stored.dtype)
    seconds = timing.seconds(found, on, sent, sums * passes)
    return Phase(step, int(graphs.counts(whole, step).mac), found, seconds)  # type: ignore[arg-type]


def _held(
    part: Decoder, plan: Plan, stored: Stored, device: Device, guessing: Guessing | None
) -> Held:  # fmt: skip
    element = formats.size(stored.cache)
    weights, own = weight_bytes(part, stored), plan.longest - plan.prefix
    kept = part.kept_at(own) * element
    if guessing is not None:
        draft = _stored(guessing.draft, stored)
        weights += weight_bytes(guessing.draft, draft)
        kept += guessing.draft.kept_at(own) * element
    shared = part.kept_at(plan.prefix) * element if plan.prefix else 0.0
    activations = _activations(part, plan, stored)
    capacity, most = device.memory_bytes, None
    if capacity is not None:
        room = capacity * plan.memory_share - weights - activations - shared
        most = max(0, int(room // kept)) if kept else None
    return Held(weights, activations, shared, kept, capacity, most)


def _activations(part: Decoder, plan: Plan, stored: Stored) -> float:
    """The most that is alive while one pass goes through a layer, or scores the vocabulary."""
    tokens = min(plan.chunk, plan.batch * (plan.prompt - plan.prefix))
    layers = graphs.parts(
        part, Step(1, tokens, tokens, tokens, plan.batch), stored.dtype, "bfloat16"
    )
    return max(float(memory(p.graph).peak_activation_bytes) for p in layers)  # type: ignore[arg-type]


def _stored(draft: Decoder, stored: Stored) -> Stored:
    """A draft is in the formats of its model."""
    return replace(stored, dtype=draft.dtype, quantised=draft.quantised)


def _draft(guessing: Guessing, plan: Plan, stored: Stored, device: Device) -> Seconds:
    """One token of the draft, which every device makes for itself."""
    draft = guessing.draft
    step = graphs.decode(draft, plan.batch, plan.context)
    on = timing.machine(device, 1, None, draft.dtype, stored.weights)
    return timing.seconds(loads(draft, step, _stored(draft, stored)), on)


def _notes(found: Serving) -> list[str]:
    """What makes the numbers less sure, or was assumed."""
    said, plan, on = [], found.plan, found.machine
    if any(isinstance(layer.network, Experts) for layer in found.decoder.layers):
        said.append("experts are taken to be chosen evenly; uneven ones are fewer, and wait longer")
    if found.decoder.longest and plan.longest > found.decoder.longest:
        said.append(
            f"{plan.longest:,} tokens are more than the {found.decoder.longest:,} that the model "
            "is made for"
        )
    if found.stored.weights.bits < 16 and not found.stored.weights.computed:
        said.append("unpacking weights of few bits is not counted: it was seen to take up to 1.32x")
    if on.computed != found.stored.dtype:
        said.append(f"matrices are multiplied in {on.computed}")
    if found.fits is False:
        said.append(f"{plan.batch:,} sequences do not fit; times are as if they did")
    if on.device.kind not in CHECKED:
        said.append(f"no rate was checked on a device of the kind '{on.device.kind}'")
    return said


def generate(source: Any, device: str | Device, **asked: Any) -> Serving:
    """`serve` for a config.json, its directory, or a dict like it, on a device or one by name;
    `asked` is what `planned` takes. Raises FlopwiseError."""
    plan, guessing = planned(read, **asked)
    return serve(read(source), on_device(device), plan, guessing)


def on_device(device: str | Device) -> Device:
    """A device, or one by its name. Raises UnknownName."""
    return devices.find(device) if isinstance(device, str) else device
