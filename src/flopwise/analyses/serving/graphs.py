"""A decoder as graphs: the embedding, each kind of layer once, and the head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil

from flopwise.analyses.serving.blocks import Block, Step
from flopwise.analyses.serving.decoder import Decoder, Experts, Latent
from flopwise.analyses.serving.layers import layer
from flopwise.counts import ZERO, Counts
from flopwise.graph import Graph, Tensor
from flopwise.plugins import load
from flopwise.profile import Profile, profile

EMBEDDING = "embed.weight"


@dataclass(frozen=True)
class Part:
    """A graph that runs `times` times with weights of its own each time. `few` names those
    that a quantised file has in few bits; `hit` is the share of its experts that get a token."""

    name: str
    times: int
    graph: Graph
    few: frozenset[str] = frozenset()
    hit: float = 1.0

    @property
    def profile(self) -> Profile:
        return profile(self.graph, load("conventions", "flops"))


def parts(decoder: Decoder, step: Step, dtype: str, cache: str) -> Iterable[Part]:
    """What runs in one step, in order."""
    yield Part("embedding", 1, _embedding(decoder, step, dtype))
    for i, (kind, times) in enumerate(Counter(decoder.layers).items()):
        block = Block(step, dtype, cache)
        tokens = step.tokens // step.shared
        x = Tensor("x", (step.batch, tokens, decoder.hidden), dtype, "input")
        layer(block, x, decoder.hidden, kind, decoder.norm, decoder.norm_bias, decoder.dropout)
        hit = 1.0
        if isinstance(kind.network, Experts):
            hit = kind.network.hit(step.batch * step.tokens) / kind.network.count
        yield Part(f"layer kind {i + 1}", times, block.graph(x), frozenset(block.few), hit)
    yield Part("head", 1, _head(decoder, step, dtype))


def _embedding(decoder: Decoder, step: Step, dtype: str) -> Graph:
    block = Block(step, dtype, dtype)
    ids = Tensor("ids", (step.batch, step.tokens), "int64", "input")
    table = block.weight(EMBEDDING, decoder.vocabulary, decoder.hidden)
    x = block.add("embedding", ids, table, name="embed", dtype=dtype)
    if decoder.positions:
        places = block.weight("positions.weight", decoder.positions, decoder.hidden)
        at = block.add("embedding", ids, places, name="positions", dtype=dtype)
        block.add("add", x, at, name="placed")
    return block.graph(ids)


def _head(decoder: Decoder, step: Step, dtype: str) -> Graph:
    """The last norm and the scores of the vocabulary, of as many tokens as are asked for."""
    block = Block(step, dtype, dtype)
    x = Tensor("x", (step.batch, step.logits, decoder.hidden), dtype, "input")
    x = block.normed(x, "norm", decoder.hidden, decoder.norm, decoder.norm_bias)
    name = EMBEDDING if decoder.tied else "head.weight"
    block.add("linear", x, block.weight(name, decoder.vocabulary, decoder.hidden), name="head")
    return block.graph(x)


def whole(batch: int, tokens: int) -> Step:
    """The step that papers and counters count: every score of the square, every logit."""
    return Step(batch, tokens, tokens, tokens, tokens)


def training(
    decoder: Decoder, batch: int, tokens: int, shared: int = 1, context: int = 1
) -> Step:  # fmt: skip
    """A forward pass whose backward follows, with every score of the square."""
    windows = {layer.mixer.window for layer in decoder.layers if layer.mixer.window}
    seen = dict.fromkeys(windows, (tokens, tokens))
    return Step(batch, tokens, tokens, tokens, tokens, seen, training=True, shared=shared,
                context=context)  # fmt: skip


def prefill(decoder: Decoder, batch: int, new: int, past: int = 0) -> Step:
    """`new` tokens of each sequence after `past` cached ones; a token looks at those before it
    and at itself, so past + (new + 1)/2 in the mean, or as far as a window goes."""
    windows = {layer.mixer.window for layer in decoder.layers if layer.mixer.window}
    looks = {w: (_mean(past, new, w), min(past + new, w + new - 1)) for w in windows}
    step = Step(batch, new, ceil(past + (new + 1) / 2), past + new, 1, looks)
    latents = [layer.mixer for layer in decoder.layers if isinstance(layer.mixer, Latent)]
    return replace(step, absorbed=bool(latents) and _cheaper(latents[0], step))


def decode(decoder: Decoder, batch: int, context: int, new: int = 1) -> Step:
    """`new` tokens of each sequence, the last of them at `context`; the vocabulary is scored
    for each."""
    return replace(prefill(decoder, batch, new, context - new), logits=new)


def _mean(past: int, new: int, window: int) -> int:
    """Keys that `new` queries look at in the mean, through a window."""
    growing = max(0, min(new, window - past))  # queries that see all there is
    total = growing * past + growing * (growing + 1) // 2 + (new - growing) * window
    return -(-total // new)


def _cheaper(m: Latent, step: Step) -> bool:
    """Whether queries through the matrices cost less than keys and values of all tokens."""
    up = m.rank * (m.plain + m.value)
    expanded = step.span * up + step.tokens * step.keys * (m.plain + m.rotated + m.value)
    absorbed = step.tokens * up + step.tokens * step.keys * (2 * m.rank + m.rotated)
    return bool(absorbed < expanded)


def counts(decoder: Decoder, step: Step) -> Counts:
    """Everything that one step computes, and moves in the decoder's own dtype."""
    found = ZERO
    for part in parts(decoder, step, decoder.dtype, decoder.dtype):
        found = found + part.times * part.profile.total()
    return found


def params(decoder: Decoder) -> int:
    """Learned elements, each once."""
    found = [
        (p.times, p.profile.weights) for p in parts(decoder, whole(1, 1), "float32", "float32")
    ]
    total = sum(times * t.size for times, weights in found for t in weights)
    return int(total) - decoder.tied * decoder.vocabulary * decoder.hidden


def active(decoder: Decoder) -> int:
    """Learned elements that one token uses: of experts, those that it is sent to."""
    idle = 0
    for n in (found.network for found in decoder.layers):
        if isinstance(n, Experts):
            matrices = 3 * decoder.hidden * n.width
            offsets = n.bias * (2 * n.width + decoder.hidden)
            idle += (n.count - n.chosen) * (matrices + offsets)
    return params(decoder) - idle
