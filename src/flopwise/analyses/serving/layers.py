"""The operators of one layer of a decoder, in our vocabulary, at the sizes of one step.

Results of matrices lie head beside head, as they come; `span` of an attention node is how many
tokens its cache holds, where its queries do not look at all of them.
"""

from __future__ import annotations

from typing import Any

from flopwise.analyses.serving.blocks import Block
from flopwise.analyses.serving.decoder import (
    Attention,
    Dense,
    Experts,
    Latent,
    Layer,
    Mixer,
    Network,
)
from flopwise.analyses.serving.mixers import latent, scanned
from flopwise.graph import Tensor

# Elementwise functions that networks gate or bend with, by the names that configs use.
ACTIVATIONS = {
    "silu": "silu", "swish": "silu", "relu": "relu", "gelu": "gelu", "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh", "relu2": "square",
}  # fmt: skip


def layer(
    block: Block, x: Tensor, hidden: int, layer: Layer, norm: str, norm_bias: bool,
    dropout: float = 0.0,
) -> Tensor:  # fmt: skip
    """Norms, the mixer, the network for each token, and the two sums."""

    def around(i: int, x: Tensor) -> Tensor:
        return block.normed(x, f"norm{i + 1}", hidden, norm, norm_bias)

    def added(i: int, x: Tensor, y: Tensor) -> Tensor:
        y = block.scattered(y, f"own{i}")
        y = around(i + 1, y) if layer.norms == 4 else y
        return block.add("add", x, block.dropped(y, f"drop{i}", dropout), name=f"sum{i}")

    y = block.gathered(around(0, x), "norm1", block.step.shared)
    y = mixed(block, y, hidden, layer.mixer, dropout)
    x = added(1, x, y)
    if layer.network is None:
        return x
    y = block.gathered(around(1, x) if layer.norms > 1 else x, "norm2", block.step.shared)
    return added(2, x, networked(block, y, hidden, layer.network))


def mixed(block: Block, x: Tensor, hidden: int, mixer: Mixer, dropout: float = 0.0) -> Tensor:
    """What passes between tokens."""
    if isinstance(mixer, Attention):
        return attention(block, x, hidden, mixer, dropout)
    return latent(block, x, hidden, mixer) if isinstance(mixer, Latent) else scanned(
        block, x, hidden, mixer
    )  # fmt: skip


def attention(
    block: Block, x: Tensor, hidden: int, a: Attention, dropout: float = 0.0
) -> Tensor:  # fmt: skip
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
    attrs |= {"dropout": dropout} if dropout and block.step.training else {}
    held = [block.cached(f"cache.{n}", keys, widths[n]) for n in "kv"]
    if block.step.training:
        held = [block.gathered(parts[n], f"attn.{n}", block.step.context) for n in "kv"]
    if a.sinks:
        block.add("copy", block.weight("attn.sinks", a.heads), name="attn.sinks")
    y = block.add("multi_head_attention", parts["q"], *held, name="attn", **attrs)
    return block.linear(y, "attn.o", a.heads * a.value, hidden, a.out_bias)


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


def _routed(block: Block, x: Tensor, hidden: int, e: Experts) -> Tensor:
    """Each token as often as it is sent to an expert."""
    tokens = block.step.batch * block.step.tokens
    if not block.step.training:
        return Tensor("moe.rows", (tokens * e.chosen, hidden), block.dtype)
    flat = block.add("reshape", x, name="moe.tokens", shape=(tokens, hidden))
    places = Tensor("moe.places", (tokens * e.chosen,), "int64", "input")
    return block.add("gather", flat, places, name="moe.rows", axis=0)


def experts(block: Block, x: Tensor, hidden: int, e: Experts) -> Tensor:
    """The router, the experts that it chooses for each token, and their weighted sum."""
    step = block.step
    scores = block.linear(x, "moe.router", hidden, e.count, e.router_bias, few=False)
    scores = block.add("softmax", scores, name="moe.scores")
    if e.correction:
        block.add("add", scores, block.weight("moe.correction", e.count), name="moe.corrected")
    block.beside += [scores] if step.training else []  # a sum over experts is weighted by them
    rows = _routed(block, x, hidden, e)

    def stack(x: Tensor, name: str, given: int, made: int) -> Tensor:
        weight = block.weight(f"moe.{name}.weight", e.here, given, made, few=True)
        bias = [block.weight(f"moe.{name}.bias", e.here, made)] if e.bias else []
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
