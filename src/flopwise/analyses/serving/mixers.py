"""Mixers of tokens besides plain attention: latents and state spaces, as operators."""

from __future__ import annotations

from typing import Any

from flopwise.analyses.serving.blocks import Block
from flopwise.analyses.serving.decoder import Latent, StateSpace
from flopwise.graph import Tensor


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
    y = inner(block, q, kept, m)
    return block.linear(y, "attn.o", m.heads * m.value, hidden, m.bias)


def _expanded(block: Block, q: Tensor, kept: Tensor, m: Latent) -> Tensor:
    keys, span = block.step.seen(None)
    if block.step.training:
        return _trained(block, q, kept, m)
    latents = block.cached("cache", span, m.rank)
    block.linear(latents, "attn.kv", m.rank, m.heads * (m.plain + m.value))
    # The rotated part of a key is one for all heads: it is copied beside what was made.
    k = Tensor("attn.keys", (block.step.batch, keys, m.heads * (m.plain + m.rotated)), block.dtype)
    v = Tensor("attn.values", (block.step.batch, keys, m.heads * m.value), block.dtype)
    attrs: dict[str, Any] = {"heads": m.heads, "kv_heads": m.heads, "span": span}
    return block.add("multi_head_attention", q, k, v, name="attn", **attrs)


def _trained(block: Block, q: Tensor, kept: Tensor, m: Latent) -> Tensor:
    """The same, from the latents of this very pass."""
    latents = block.part(kept, "attn.latent", 0, m.rank)
    turned = block.part(kept, "attn.k_plain", m.rank, m.rotated)
    turned = block.add("rotary_embedding", turned, name="attn.k_turn")
    turned = block.add("tile", turned, name="attn.k_heads", repeats=[1, 1, m.heads])
    made = block.linear(latents, "attn.kv", m.rank, m.heads * (m.plain + m.value))
    k = block.part(made, "attn.k_made", 0, m.heads * m.plain)
    k = block.add("concat", k, turned, name="attn.keys", axis=-1)
    v = block.part(made, "attn.values", m.heads * m.plain, m.heads * m.value)
    k, v = (block.gathered(t, n, block.step.context) for t, n in ((k, "attn.k"), (v, "attn.v")))
    attrs: dict[str, Any] = {"heads": m.heads, "kv_heads": m.heads}
    return block.add("multi_head_attention", q, k, v, name="attn", **attrs)


def _absorbed(block: Block, q: Tensor, kept: Tensor, m: Latent) -> Tensor:
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
    inner, train = s.inner, block.step.training
    both = block.linear(x, "ssm.in", hidden, 2 * inner, s.bias)
    u = _convolved(block, both, s)
    shape = (block.step.batch, block.step.tokens)
    rows = _turned(block, u, "ssm.rows") if train else Tensor("ssm.r", (*shape, inner), block.dtype)
    made = block.linear(rows, "ssm.x", inner, s.rank + 2 * s.state)
    places = {"dt": (0, s.rank), "b": (s.rank, s.state), "c": (s.rank + s.state, s.state)}
    part = {n: block.part(made, f"ssm.{n}_made", *at) for n, at in places.items()}
    if s.norms:
        part = {n: block.normed(t, f"ssm.{n}_norm", places[n][1]) for n, t in part.items()}
    delta = block.linear(part["dt"], "ssm.dt", s.rank, inner)
    part = {"dt": delta, "z": block.part(both, "ssm.gate", inner, inner), **_bc(part)}
    if train:
        part = {n: _turned(block, t, f"ssm.{n}_turned") for n, t in part.items()}
    else:  # each lies as the scan wants it
        widths = {"dt": inner, "z": inner, "b": s.state, "c": s.state}
        part = {n: Tensor(f"ssm.{n}", (shape[0], w, shape[1]), block.dtype)
                for n, w in widths.items()}  # fmt: skip
    skip, bias = (block.weight(f"ssm.{n}", inner) for n in ("D", "dt.bias"))
    y = block.add(
        "selective_scan", u, part["dt"], block.weight("ssm.A", inner, s.state), part["b"],
        part["c"], skip, part["z"], bias, name="ssm.scan", softplus=True,
    )  # fmt: skip
    y = _turned(block, y, "ssm.back") if train else Tensor("ssm.y", (*shape, inner), block.dtype)
    return block.linear(y, "ssm.out", inner, hidden, s.bias)


def _bc(part: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n: part[n] for n in ("b", "c")}


def _turned(block: Block, x: Tensor, name: str) -> Tensor:
    """Channels before tokens, or back."""
    return block.add("transpose", x, name=name, perm=(0, 2, 1))


def _convolved(block: Block, both: Tensor, s: StateSpace) -> Tensor:
    """The inputs of the scan, each with those before it."""
    u = Tensor("ssm.u", (block.step.batch, s.inner, block.step.tokens + s.conv - 1), block.dtype)
    if block.step.training:
        u = _turned(block, block.part(both, "ssm.channels", 0, s.inner), "ssm.u")
        u = block.add("pad", u, name="ssm.padded", pads=[(0, 0), (0, 0), (s.conv - 1, 0)])
    weights = [block.weight("ssm.conv.weight", s.inner, 1, s.conv)]
    weights += [block.weight("ssm.conv.bias", s.inner)] if s.conv_bias else []
    u = block.add("conv", u, *weights, name="ssm.conv", groups=s.inner)
    return block.add("silu", u, name="ssm.act")
