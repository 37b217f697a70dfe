"""What one step makes a device do: operations, bytes and kernels, by kind of kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from flopwise import ops
from flopwise.analyses.efficiency import kind
from flopwise.analyses.serving.blocks import Step
from flopwise.analyses.serving.decoder import Decoder, StateSpace
from flopwise.analyses.serving.formats import Format, size
from flopwise.analyses.serving.graphs import Part, parts
from flopwise.graph import Node, Tensor
from flopwise.passes.fuse import Group, groups
from flopwise.passes.runtimes import RUNTIMES

# Fused as deployed decoders are: sums and activations into the kernels before them. Nothing is
# left out as unread: what goes into a cache is read by later steps.
FUSED = RUNTIMES["tensorrt"].epilogues
STACKS = "grouped_matmul"


@dataclass(frozen=True)
class Stored:
    """The dtypes of a deployment: of activations, of weights in few bits, of the cache."""

    dtype: str
    weights: Format
    cache: str
    quantised: str = "layers"

    def bytes(self, weight: Tensor, few: frozenset[str]) -> float:
        """Bytes that a weight takes."""
        chosen = weight.name in few and (self.quantised == "layers" or "moe." in weight.name)
        bits = self.weights.bits if chosen else size(self.dtype) * 8
        return float(weight.size) * bits / 8  # type: ignore[arg-type]


@dataclass(frozen=True)
class Load:
    """All kernels of one kind (matrix, attention, scan, or step for all others).

    `flops` are 2 per multiply-accumulate, elementary operations where there is none; then
    bytes of weights, of the cache and of activations, and how many kernels there are.
    """

    kind: str
    flops: float = 0.0
    weights: float = 0.0
    cache: float = 0.0
    other: float = 0.0
    kernels: int = 0

    def __add__(self, more: Load) -> Load:
        numbers = {f.name: getattr(self, f.name) + getattr(more, f.name) for f in fields(self)[1:]}
        return replace(self, **numbers)

    @property
    def bytes(self) -> float:
        return self.weights + self.cache + self.other


def loads(decoder: Decoder, step: Step, stored: Stored) -> dict[str, Load]:
    """What the device of a (shard of a) decoder does in one step."""
    found: dict[str, Load] = {}
    for part in parts(decoder, step, stored.dtype, stored.cache):
        for load in _part(part, stored):
            found[load.kind] = found.get(load.kind, Load(load.kind)) + load
    if states := _states(decoder, step, stored):
        found["scan"] = found.get("scan", Load("scan")) + states
    return found


def _part(part: Part, stored: Stored) -> Iterator[Load]:
    for group in groups(part.graph, (), FUSED):
        if group.counts.bytes == 0:
            continue  # a view
        yield _group(group, part, stored)


def _group(group: Group, part: Part, stored: Stored) -> Load:
    weights = cache = 0.0
    other = float(group.counts.bytes)  # type: ignore[arg-type]
    for node in group.nodes:
        weights += _weights(node, part, stored)
        cache += _cache(node)
        other -= _stated(node)
    counts, times = group.counts, part.times
    main = group.main
    scans = main.op == "selective_scan"
    flops = float(counts.ops if scans else counts.flops or counts.ops)  # type: ignore[arg-type]
    return Load(_kind(main), times * flops, times * weights, times * cache, times * other, times)


def _kind(node: Node) -> str:
    """matrix, attention or scan, which compute; or step, which only moves what it works on."""
    if node.op == "selective_scan":
        return "scan"
    found = kind(node)
    if node.op == "multi_head_attention":
        return "attention"
    return "matrix" if found in ("linear", "matmul") or node.op == STACKS else "step"


def _weights(node: Node, part: Part, stored: Stored) -> float:
    """Bytes of weights that a node reads: rows of a table, experts that a token goes to."""
    if node.op == "embedding":
        return 0.0  # the rows are counted with the result
    share = part.hit if node.op == STACKS else 1.0
    return share * sum(stored.bytes(t, part.few) for t in node.weights)


def _cache(node: Node) -> float:
    """Bytes of the cache that queries look at: what one name stands for is read once."""
    if node.op != "multi_head_attention":
        return 0.0
    held: dict[str, float] = {}
    for t in node.inputs[1:3]:
        assert t is not None
        rows = float(t.sizes[1]) or 1.0  # type: ignore[arg-type]
        whole = float(t.bytes) / rows * float(node.attrs["span"])  # type: ignore[arg-type]
        held[t.name] = max(held.get(t.name, 0.0), whole)
    return sum(held.values())


def _stated(node: Node) -> float:
    """Of a node's own count of bytes, those that `_weights` and `_cache` count."""
    entry = ops.find(node.op)
    assert entry is not None
    if node.op == "multi_head_attention":
        named = {t.name: t for t in node.inputs[1:3] if t is not None}
        return float(sum(t.bytes for t in named.values()))  # type: ignore[arg-type]
    if node.op == STACKS:
        first = node.inputs[0]
        assert first is not None
        return float(ops.traffic(node, entry)[0] - first.bytes)
    if node.op == "embedding":
        return 0.0
    return float(sum(t.bytes for t in node.weights))  # type: ignore[arg-type]


def _states(decoder: Decoder, step: Step, stored: Stored) -> Load | None:
    """States are read and written once in a step."""
    kept = sum(
        layer.mixer.per_sequence for layer in decoder.layers if isinstance(layer.mixer, StateSpace)
    )
    moved = 2.0 * kept * float(step.batch) * size(stored.dtype)
    return Load("scan", cache=moved) if kept else None


def weight_bytes(decoder: Decoder, stored: Stored) -> float:
    """Bytes that the weights take on the device of a (shard of a) decoder."""
    step = Step(1, 1, 1, 1)
    total = 0.0
    for part in parts(decoder, step, stored.dtype, stored.cache):
        total += part.times * sum(stored.bytes(t, part.few) for t in part.profile.weights)
    if decoder.tied:
        total -= decoder.vocabulary * decoder.hidden * size(stored.dtype)
    return total
