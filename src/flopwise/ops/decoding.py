"""Attention that keeps what it saw: caches of keys and values, linear states, causal taps."""

from __future__ import annotations

from typing import Any

from flopwise.counts import Counts, dots
from flopwise.dims import Dim, floordiv, maximum, prod
from flopwise.errors import ShapeMismatch
from flopwise.graph import Shape
from flopwise.ops import op, rule
from flopwise.ops.attention import attend
from flopwise.ops.pointwise import per_element


@op(
    "cached_attention",
    "b h q d, key: b g s d, value: b g s v, mask?: *_, past?: b g p d, past_value?: b g p v"
    " -> b h q v, b g k d, b g k v, b h q k"
    " | b q e, key: b s i, value: b s j, mask?: *_, past?: b g p d, past_value?: b g p v"
    " -> b q o, b g k d, b g k v, b h q k"
    " | b q e, key: b g s d, value: b g s v, mask?: *_, past?: b g p d, past_value?: b g p v"
    " -> b q o, b g k d, b g k v, b h q k",
)
def cached_attention(
    b: Dim, q: Dim, s: Dim, p: Dim = 0, k: Any = None, h: Any = None, d: Any = None, v: Any = None,
    e: Any = None, j: Any = None, heads: Any = None, kv_heads: Any = None, mask: int = 0,
    scaled: int = 1, softcap: Any = 0, sink: int = 0, inputs: Any = (), shared: Any = False,
) -> Counts:  # fmt: skip
    """softmax(Q Kᵀ / √d + mask) V over the p tokens that were kept and the s new ones.

    Heads have an axis of their own, or lie side by side on the last one (`heads` of
    queries, `kv_heads` of keys). `causal` and `window` state which scores are known to be
    void; the count is that of the full rectangle all the same.
    """
    sizes = cached_axes(s, p, h, d, v, e, j, heads, kv_heads)
    total = attended(inputs, p, s, shared)
    keys = total if total is not None else sizes["k"] if k is None else k
    return attend(b * sizes["h"], q, keys, sizes["d"], sizes["v"], mask, scaled, softcap, sink)


@rule("axes", "cached_attention")
def cached_axes(
    s: Dim, p: Dim = 0, h: Any = None, d: Any = None, v: Any = None, e: Any = None, j: Any = None,
    heads: Any = None, kv_heads: Any = None, inputs: Any = (), shared: Any = False,
) -> dict[str, Any]:  # fmt: skip
    """The new cache has room for all tokens, kept and new; a `shared` buffer is the old one."""
    total = None if shared else attended(inputs, p, s, shared)
    k = p if shared else p + s if total is None else maximum(p, total)
    if e is None:
        return {"h": h, "d": d, "v": v, "k": k, "o": h * v}
    if not heads:
        raise ShapeMismatch("the number of heads is not given")
    kv_heads = kv_heads or heads
    if j is not None:
        d, v = _width(e, heads), _width(j, kv_heads)
    return {"h": heads, "g": kv_heads, "d": d, "v": v, "o": heads * v, "k": k}


def attended(inputs: tuple[Any, ...], p: Dim, s: Dim, shared: Any) -> Any:
    """How many tokens there are in all, where a cache of fixed length may have room for more:
    the seventh operand says it, or with a `shared` buffer how many were kept. None: p + s."""
    operand = inputs[6] if len(inputs) > 6 else None
    value = None if operand is None else operand.value
    number = None if value is None else value.ravel()[0]
    if shared:
        return p if number is None else number + s
    return number


def _width(size: Dim, heads: Dim) -> Dim:
    if isinstance(size, int) and isinstance(heads, int) and size % heads:
        raise ShapeMismatch(f"an axis of {size} does not divide into {heads} heads")
    return floordiv(size, heads)


@op("attention_scores", "*b h q d, key: *b g k d -> *b h q k")
def attention_scores(b: Shape, h: Dim, q: Dim, k: Dim, d: Dim, scaled: int = 1) -> Counts:
    """Q Kᵀ / √d alone."""
    scores = prod(b) * h * q * k
    return dots(scores, d) + Counts(mul=scores * int(bool(scaled)))


@op("attention_values", "*b h q k, value: *b g k v -> *b h q v")
def attention_values(b: Shape, h: Dim, q: Dim, k: Dim, v: Dim) -> Counts:
    """Sums of values, weighted by probabilities that are given."""
    return dots(prod(b) * h * q * v, k)


@op(
    "linear_attention",
    "b t e, key: b t i, value: b t j, past?: b g d v, decay?: b t a, beta?: b t _"
    " -> b t o, b g d v",
)
def linear_attention(
    b: Dim, t: Dim, e: Dim, j: Dim, heads: Dim, kv_heads: Dim, rule: str = "gated_delta",
    a: Any = None,
) -> Counts:  # fmt: skip
    """Token by token, for a state S of d x v per key head: S decays by exp(g); the delta rule
    puts v - Sᵀ k, times β, in place of v; S gains k ⊗ v; each query head reads Sᵀ q / √d.

    The outer product counts as what it is, dot products of one term; the decay is elementwise.
    Yang et al. 2024, arXiv:2412.06464, eq. 10.
    """
    d, v = e // heads, j // kv_heads
    state, total = kv_heads * d * v, Counts(mul=heads * v) + dots(heads * v, d)
    total += dots(state, 1) + Counts(add=state)
    if "gated" in rule:
        total += Counts(mul=state, exp=kv_heads if a is None else a)
    if "delta" in rule:
        total += dots(kv_heads * v, d) + Counts(add=kv_heads * v, mul=kv_heads * v)
    return b * t * total


@rule("axes", "linear_attention")
def linear_axes(e: Dim, j: Dim, heads: Dim, kv_heads: Dim) -> dict[str, Any]:
    d, v = e // heads, j // kv_heads
    return {"g": kv_heads, "d": d, "v": v, "o": heads * v}


@op("causal_conv", "n c x, weight: c g k, bias?: c, past?: n c p -> n c x, n c p")
def causal_conv(n: Dim, c: Dim, x: Dim, k: Dim, bias: int, activation: str = "") -> Counts:
    """A depthwise convolution that sees only what came before; the last k - 1 are kept."""
    outputs = n * c * x
    total = dots(outputs, k) + Counts(add=outputs * bias)
    return total + outputs * per_element(activation) if activation else total


@rule("axes", "causal_conv")
def causal_axes(k: Dim) -> dict[str, Any]:
    return {"p": k - 1, "g": 1}
