"""The operators of one layer of a decoder, in our vocabulary, at the sizes of one step.

Results of matrices lie head beside head, as they come; `span` of an attention node is how many
tokens its cache holds, where its queries do not look at all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flopwise.analyses.serving.decoder import (
    Attention,
    Dense,
    Experts,
    Latent,
    Layer,
    Mixer,
    Network,
    StateSpace,
)
from flopwise.graph import Graph, Node, Tensor
from flopwise.passes.infer import infer

# Elementwise functions that networks gate or bend with, by the names that configs use.
ACTIVATIONS = {
    "silu": "silu", "swish": "silu", "relu": "relu", "gelu": "gelu", "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh", "relu2": "square",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """What one pass is over: `batch` sequences of `tokens` new tokens, each of which looks at
    `keys` tokens in the mean where nothing bounds it, of `span` that are cached.

    `windowed` gives mean keys and cached tokens for a window. `logits` is how many tokens of
    a sequence the vocabulary is scored for.
    """

    batch: int
    tokens: int
    keys: int
    span: int
    logits: int = 1
    windowed: Mapping[int, tuple[int, int]] = field(default_factory=dict, hash=False)
    absorbed: bool = False

    def seen(self, window: int | None) -> tuple[int, int]:
        """Mean keys of a query, and cached tokens."""
        if window is None:
            return self.keys, self.span
        return self.windowed.get(window, (self.keys, self.span))


@dataclass
class Block:
    """Nodes as they are added; `few` are the weights that a quantised file has in few bits."""

    step: Step
    dtype: str
    cache: str
    nodes: list[Node] = field(default_factory=list)
    few: set[str] = field(default_factory=set)

    def add(
        self, op: str, *inputs: Tensor | None, name: str, dtype: str = "", **attrs: Any
    ) -> Tensor:
        out = Tensor(f"{name}.out", None, dtype or self.dtype)
        attrs |= {"dtype": dtype} if dtype else {}
        self.nodes.append(Node(op, inputs, (out,), attrs, name, tuple(name.split(".")), op))
        return out

    def weight(self, name: str, *shape: int, few: bool = False) -> Tensor:
        if few:
            self.few.add(name)
        return Tensor(name, shape, self.dtype, "weight")

    def linear(
        self, x: Tensor, name: str, given: int, made: int, bias: bool = False, few: bool = True
    ) -> Tensor:  # fmt: skip
        weight = self.weight(f"{name}.weight", made, given, few=few)
        offset = self.weight(f"{name}.bias", made) if bias else None
        return self.add("linear", x, weight, offset, name=name)

    def normed(self, x: Tensor, name: str, size: int, kind: str = "rms_norm", bias: bool = False,
               **attrs: Any) -> Tensor:  # fmt: skip
        weights = [self.weight(f"{name}.weight", size)]
        weights += [self.weight(f"{name}.bias", size)] if bias else []
        return self.add(kind, x, *weights, name=name, **attrs)

    def cached(self, name: str, keys: int, size: int) -> Tensor:
        """What earlier steps kept, and this one."""
        return Tensor(name, (self.step.batch, keys, size), self.cache, "input")

    def kept(self, x: Tensor, name: str) -> None:
        """A result goes into the cache."""
        self.add("cast", x, name=name, dtype=self.cache)

    def graph(self, *inputs: Tensor) -> Graph:
        return infer(Graph(inputs, tuple(self.nodes[-1].outputs), tuple(self.nodes)))


def layer(
    block: Block, x: Tensor, hidden: int, layer: Layer, norm: str, norm_bias: bool
) -> Tensor:  # fmt: skip
    """Norms, the mixer, the network for each token, and the two sums."""

    def around(i: int, x: Tensor) -> Tensor:
        return block.normed(x, f"norm{i + 1}", hidden, norm, norm_bias)

    y = mixed(block, around(0, x), hidden, layer.mixer)
    y = around(2, y) if layer.norms == 4 else y
    x = block.add("add", x, y, name="sum1")
    if layer.network is None:
        return x
    y = networked(block, around(1, x) if layer.norms > 1 else x, hidden, layer.network)
    y = around(3, y) if layer.norms == 4 else y
    return block.add("add", x, y, name="sum2")


def mixed(block: Block, x: Tensor, hidden: int, mixer: Mixer) -> Tensor:
    """What passes between tokens."""
    if isinstance(mixer, Attention):
        return attention(block, x, hidden, mixer)
    return latent(block, x, hidden, mixer) if isinstance(mixer, Latent) else scanned(
        block, x, hidden, mixer
    )  # fmt: skip


def attention(block: Block, x: Tensor, hidden: int, a: Attention) -> Tensor:
    widths = {"q": a.heads * a.size, "k": a.kv_heads * a.size, "v": a.kv_heads * a.value}
    parts = {n: block.linear(x, f"attn.{n}", hidden, w, a.bias) for n, w in widths.items()}
    for n in "qk":
        heads = widths[n] // a.size
        if a.norm:
            size = widths[n] if a.norm == "all" else a.size
            parts[n] = block.normed(parts[n], f"attn.{n}_norm", size, over=size)
        if a.rotated:
            rotated = heads * a.rotated
            parts[n] = block.add(
                "rotary_embedding", parts[n], name=f"attn.{n}_turn", rotated=rotated
            )
    block.kept(parts["k"], "attn.keep_k")
    block.kept(parts["v"], "attn.keep_v")
    keys, span = block.step.seen(a.window)
    attrs: dict[str, Any] = {"heads": a.heads, "kv_heads": a.kv_heads, "span": span}
    attrs |= {"softcap": a.softcap} if a.softcap else {}
    attrs |= {"sink": 1} if a.sinks else {}
    held = [block.cached(f"cache.{n}", keys, widths[n]) for n in "kv"]
    if a.sinks:
        block.add("copy", block.weight("attn.sinks", a.heads), name="attn.sinks")
    y = block.add("multi_head_attention", parts["q"], *held, name="attn", **attrs)
    return block.linear(y, "attn.o", a.heads * a.value, hidden, a.out_bias)


def latent(block: Block, x: Tensor, hidden: int, m: Latent) -> Tensor:
    """Keys and values made from latents before they meet the queries; or, `absorbed`, queries
    and results taken through those matrices, which costs less for few new tokens."""
    size = m.plain + m.rotated
    q = x
    if m.query_rank:
        q = block.linear(x, "attn.q_down", hidden, m.query_rank, m.bias)
        q = block.normed(q, "attn.q_norm", m.query_rank)
    q = block.linear(q, "attn.q", m.query_rank or hidden, m.heads * size)
    kept = block.linear(x, "attn.kv_down", hidden, m.rank + m.rotated, m.bias)
    kept = block.normed(kept, "attn.kv_norm", m.rank, over=m.rank + m.rotated)
    q = block.add("rotary_embedding", q, name="attn.turn", rotated=m.heads * m.rotated)
    block.kept(kept, "attn.keep")
    inner = _absorbed if block.step.absorbed else _expanded
    y = inner(block, q, m)
    return block.linear(y, "attn.o", m.heads * m.value, hidden, m.bias)


def _expanded(block: Block, q: Tensor, m: Latent) -> Tensor:
    keys, span = block.step.seen(None)
    latents = block.cached("cache", span, m.rank)
    made = m.heads * (m.plain + m.value)
    block.linear(latents, "attn.kv", m.rank, made)
    # The rotated part of a key is one for all heads: it is copied beside what was made.
    k = Tensor("attn.keys", (block.step.batch, keys, m.heads * (m.plain + m.rotated)), block.dtype)
    v = Tensor("attn.values", (block.step.batch, keys, m.heads * m.value), block.dtype)
    attrs: dict[str, Any] = {"heads": m.heads, "kv_heads": m.heads, "span": span}
    return block.add("multi_head_attention", q, k, v, name="attn", **attrs)


def _absorbed(block: Block, q: Tensor, m: Latent) -> Tensor:
    keys, span = block.step.seen(None)
    batch, tokens, heads = block.step.batch, block.step.tokens, m.heads
    into = block.weight("attn.k_up.weight", heads, m.plain, m.rank, few=True)
    plain = Tensor("attn.q_plain", (batch, tokens, heads, m.plain), block.dtype)
    block.add("einsum", plain, into, name="attn.k_up", equation="bthn,hnr->bthr")
    # Every head has the same key, of which the latent is the value too: it is read once.
    query = Tensor("attn.q_latent", (batch, tokens, heads * (m.rank + m.rotated)), block.dtype)
    k = block.cached("cache", keys, m.rank + m.rotated)
    v = block.cached("cache", keys, m.rank)
    attrs: dict[str, Any] = {"heads": heads, "kv_heads": 1, "span": span}
    block.add("multi_head_attention", query, k, v, name="attn", **attrs)
    out = block.weight("attn.v_up.weight", heads, m.rank, m.value, few=True)
    mixed_ = Tensor("attn.mixed", (batch, tokens, heads, m.rank), block.dtype)
    y = block.add("einsum", mixed_, out, name="attn.v_up", equation="bthr,hrv->bthv")
    return block.add("reshape", y, name="attn.flat", shape=(batch, tokens, heads * m.value))


def scanned(block: Block, x: Tensor, hidden: int, s: StateSpace) -> Tensor:
    """Projections, a short convolution over each channel, and the scan; Gu and Dao 2023, fig. 3."""
    step, inner = block.step, s.inner
    block.linear(x, "ssm.in", hidden, 2 * inner, s.bias)
    u = Tensor("ssm.u", (step.batch, inner, step.tokens + s.conv - 1), block.dtype)
    weights = [block.weight("ssm.conv.weight", inner, 1, s.conv)]
    weights += [block.weight("ssm.conv.bias", inner)] if s.conv_bias else []
    u = block.add("conv", u, *weights, name="ssm.conv", groups=inner)
    u = block.add("silu", u, name="ssm.act")
    rows = Tensor("ssm.rows", (step.batch, step.tokens, inner), block.dtype)
    block.linear(rows, "ssm.x", inner, s.rank + 2 * s.state)
    shape = (step.batch, step.tokens)
    delta = Tensor("ssm.delta", (*shape, s.rank), block.dtype)
    if s.norms:
        delta = block.normed(delta, "ssm.dt_norm", s.rank)
        for name in ("b", "c"):
            part = Tensor(f"ssm.{name}", (*shape, s.state), block.dtype)
            block.normed(part, f"ssm.{name}_norm", s.state)
    block.linear(delta, "ssm.dt", s.rank, inner)
    z = Tensor("ssm.z", (step.batch, inner, step.tokens), block.dtype)
    part = Tensor("ssm.bc", (step.batch, s.state, step.tokens), block.dtype)
    skip, bias = (block.weight(f"ssm.{n}", inner) for n in ("D", "dt.bias"))
    block.add(
        "selective_scan", u, z, block.weight("ssm.A", inner, s.state), part, part, skip, z, bias,
        name="ssm.scan", softplus=True,
    )  # fmt: skip
    y = Tensor("ssm.y", (*shape, inner), block.dtype)
    return block.linear(y, "ssm.out", inner, hidden, s.bias)


def networked(block: Block, x: Tensor, hidden: int, network: Network) -> Tensor:
    """What is done to each token."""
    if isinstance(network, Dense):
        return dense(block, x, hidden, network, "mlp")
    assert network is not None
    return experts(block, x, hidden, network)


def dense(block: Block, x: Tensor, hidden: int, d: Dense, name: str) -> Tensor:
    up = block.linear(x, f"{name}.up", hidden, d.width, d.bias)
    if d.gated:
        gate = block.linear(x, f"{name}.gate", hidden, d.width, d.bias)
        gate = block.add(ACTIVATIONS[d.activation], gate, name=f"{name}.act")
        up = block.add("mul", gate, up, name=f"{name}.mul")
    else:
        up = block.add(ACTIVATIONS[d.activation], up, name=f"{name}.act")
    return block.linear(up, f"{name}.down", d.width, hidden, d.bias)


def experts(block: Block, x: Tensor, hidden: int, e: Experts) -> Tensor:
    """The router, the experts that it chooses for each token, and their weighted sum."""
    step = block.step
    scores = block.linear(x, "moe.router", hidden, e.count, e.router_bias, few=False)
    scores = block.add("softmax", scores, name="moe.scores")
    if e.correction:
        block.add("add", scores, block.weight("moe.correction", e.count), name="moe.corrected")
    rows = Tensor("moe.rows", (step.batch * step.tokens * e.chosen, hidden), block.dtype)

    def stack(x: Tensor, name: str, given: int, made: int) -> Tensor:
        weight = block.weight(f"moe.{name}.weight", e.count, given, made, few=True)
        bias = [block.weight(f"moe.{name}.bias", e.count, made)] if e.bias else []
        return block.add("grouped_matmul", x, weight, *bias, name=f"moe.{name}")

    gate, up = (stack(rows, name, hidden, e.width) for name in ("gate", "up"))
    gate = block.add(ACTIVATIONS[e.activation], gate, name="moe.act")
    y = stack(block.add("mul", gate, up, name="moe.mul"), "down", e.width, hidden)
    y = block.add("combine_experts", y, name="moe.sum", experts=e.chosen)
    y = block.add("reshape", y, name="moe.flat", shape=(step.batch, step.tokens, hidden))
    if e.shared:
        shared = dense(block, x, hidden, Dense(e.shared, activation=e.activation), "moe.shared")
        if e.shared_gate:
            gate = block.linear(x, "moe.shared_gate", hidden, 1, few=False)
            gate = block.add("sigmoid", gate, name="moe.shared_open")
            shared = block.add("mul", shared, gate, name="moe.shared_mul")
        y = block.add("add", y, shared, name="moe.both")
    return y
