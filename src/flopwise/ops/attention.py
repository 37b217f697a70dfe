"""Attention: scaled dot products, their packed and grouped forms, rotary positions."""

from __future__ import annotations

from typing import Any

from flopwise.counts import Counts, dots
from flopwise.dims import Dim, floordiv, minimum, prod
from flopwise.errors import ShapeMismatch
from flopwise.graph import Shape
from flopwise.ops import op, rule
from flopwise.ops.normalization import softmax
from flopwise.ops.pointwise import tanh
from flopwise.tally import tally


def attend(
    heads: Dim, q: Dim, k: Dim, d: Dim, v: Dim, mask: int, scaled: int, softcap: Any, sink: int
) -> Counts:
    """softmax(Q Kᵀ / √d + mask) V for `heads` independent heads; Vaswani 2017, eq. 1."""
    scores = heads * q * k
    total = dots(scores, d) + dots(heads * q * v, k) + softmax((heads, q, k))
    total += Counts(mul=scores * int(bool(scaled)), add=scores * int(bool(mask)))
    if softcap:
        total += scores * tally(lambda s, cap: tanh(s / cap) * cap)
    return total + heads * q * Counts(cmp=1, exp=1, add=2) if sink else total


@op(
    "attention",
    "*b h q d, key: *b g k d, value: *b g k v, mask?: *_ -> *b h q v"
    " | q d, key: k d, value: k v, mask?: *_ -> q v",
)
def attention(
    q: Dim, d: Dim, k: Dim, v: Dim, b: Shape = (), h: Dim = 1, g: Dim = 1, mask: int = 0,
    scaled: int = 1, softcap: Any = 0, sink: int = 0,
) -> Counts:  # fmt: skip
    """softmax(Q Kᵀ / √d + mask) V. With fewer key heads g than query heads h, several
    queries share a key; the products are as many.

    `scaled` 0 leaves out the division by √d. `softcap` bounds scores by tanh(s / cap) cap.
    `sink` adds one learned score to each row. `causal` and `window` state which scores are
    known to be void; the count is that of the full square all the same, as the papers have it.
    """
    if isinstance(h, int) and isinstance(g, int) and h % g:
        raise ShapeMismatch(f"{h} query heads do not divide into {g} key heads")
    return attend(prod(b) * h, q, k, d, v, mask, scaled, softcap, sink)


@op("multi_head_attention", "*b q e, key: *b k g, value: *b k v, mask?: *_ -> *b q o")
def multi_head_attention(
    q: Dim, e: Dim, k: Dim, v: Dim, heads: Dim, kv_heads: Any = None, b: Shape = (),
    mask: int = 0, scaled: int = 1, softcap: Any = 0, sink: int = 0,
) -> Counts:  # fmt: skip
    """Attention whose heads lie side by side on the last axis, without the projections
    before and after it (those are `linear`). `heads` of queries, `kv_heads` of keys."""
    return attend(
        prod(b) * heads, q, k, e // heads, v // (kv_heads or heads), mask, scaled, softcap, sink
    )


@rule("axes", "multi_head_attention")
def multi_head_axes(e: Dim, g: Dim, v: Dim, heads: Dim, kv_heads: Any = None) -> dict[str, Any]:
    kv_heads = kv_heads or heads
    for size, parts in ((e, heads), (g, kv_heads), (v, kv_heads)):
        if isinstance(size, int) and isinstance(parts, int) and size % parts:
            raise ShapeMismatch(f"an axis of {size} does not divide into {parts} heads")
    return {"o": heads * (v // kv_heads)}


@op("rotary_embedding", "*x -> *x")
def rotary_embedding(x: Shape, rotated: Any = None) -> Counts:
    """Pairs turned by an angle, (a cos - b sin, a sin + b cos); RoFormer, eq. 34.

    The table of sines is made once for all layers and is not counted. `rotated` is how
    much of the last axis is turned (all of it unless given).
    """
    size = prod(x[:-1]) * (x[-1] if rotated is None else rotated)
    return size * Counts(mul=2) + Counts(add=size)


@op(
    "selective_scan",
    "b d t, delta: b d t, A: d n, B: *_, C: *_, skip?: d, z?: b d t, bias?: d -> b d t",
)
def selective_scan(
    b: Dim, d: Dim, t: Dim, n: Dim, skip: int, z: int, bias: int, softplus: Any = False
) -> Counts:
    """s' = exp(Δ A) s + (Δ x) B, y = C s' + D x, then y silu(z); Gu and Dao 2023, alg. 2.

    The sum over the n states in C s' is a dot product, the recurrence is elementwise.
    """
    from flopwise.ops.pointwise import per_element

    tokens = b * d * t
    total = tokens * n * Counts(mul=3, exp=1, add=1) + Counts(mul=tokens) + dots(tokens, n)
    total += tokens * Counts(mul=skip, add=skip + bias)
    total += tokens * (per_element("silu") + Counts(mul=1)) if z else Counts()
    return total + tokens * per_element("softplus") if softplus else total


@op("grouped_matmul", "*r k, weight: e k n, bias?: e n -> *r n")
def grouped_matmul(r: Shape, k: Dim, n: Dim, bias: int) -> Counts:
    """Each row meets the matrix of one of e groups (experts): rows x n dot products."""
    return dots(prod(r) * n, k) + Counts(add=prod(r) * n * bias)


@rule("axes", "grouped_matmul")
def grouped_axes(n: Dim, e: Dim) -> dict[str, Any]:
    return {"n": n, "e": e}


@rule("traffic", "grouped_matmul")
def grouped_traffic(
    inputs: tuple[Any, ...], outputs: tuple[Any, ...], r: Shape, e: Dim
) -> tuple[Dim, Dim]:
    """At most one matrix for each row is read, however many experts there are."""
    met = minimum(prod(r), e)
    stacks = sum(floordiv(t.bytes * met, e) for t in inputs[1:] if t is not None)
    return inputs[0].bytes + stacks, outputs[0].bytes


@op("combine_experts", "*b r n -> *b t n")
def combine_experts(b: Shape, n: Dim, t: Dim, experts: Dim) -> Counts:
    """Each token's sum of what its `experts` gave, weighted by the router."""
    size = prod(b) * t * n
    return Counts(mul=size * experts, add=size * (experts - 1))


@rule("axes", "combine_experts")
def combined(r: Dim, experts: Dim) -> dict[str, Any]:
    return {"t": r // experts}
