"""com.microsoft: attention, with its projections, its caches and its mixtures of experts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flopwise.frontends.onnx.fused import IN_OUT, microsoft
from flopwise.frontends.onnx.native import Native
from flopwise.frontends.onnx.quantized import learned
from flopwise.graph import Tensor


@microsoft("Attention", "DecoderMaskedSelfAttention")
def attention(n: Native) -> None:
    """Projections of one input to queries, keys and values, then attention. Operands: input,
    weight, bias, mask, cache of both, bias of scores."""
    packed = n.emit("linear", n.given(0), n.given(1), n.input(2), part="qkv", pattern=IN_OUT)
    mask = n.input(3) if n.input(5) is None else n.input(5)
    attend(n, packed, mask, n.input(4))


@microsoft("QAttention")
def quantized_attention(n: Native) -> None:
    """Operands: input, weight, bias, two scales, mask, two zero points, cache of both."""
    weight = learned(n.given(1))
    packed = n.emit("linear", n.given(0), weight, None, part="qkv", pattern=IN_OUT, dtype="int32")
    packed = n.emit("mul", packed, n.given(4), part="scale", like=0, dtype="float32")
    packed = n.emit("add", packed, n.given(2), part="bias")
    attend(n, packed, n.input(5), n.input(8))


def attend(n: Native, packed: Tensor, mask: Tensor | None, past: Tensor | None) -> None:
    """Attention of queries, keys and values that lie side by side; the cache of keys and
    values is one tensor, and so is the new one."""
    heads, sizes = n.integer("num_heads"), n.integers("qkv_hidden_sizes")
    q, k, v = n.parts("split", packed, part="split", results=3, axis=-1, sizes=sizes)
    if n.integer("do_rotary"):
        q, k = (n.emit("rotary_embedding", t, part=f"rotary.{i}") for i, t in enumerate((q, k)))
    kept: list[Tensor | None] = [None, None]
    shared = past is not None and bool(n.integer("past_present_share_buffer"))
    if past is not None:
        kept = [n.emit("select", past, part=f"past.{i}", axis=0) for i in range(2)]
    operands = (q, k, v, mask, *kept, n.input(6) if shared else None)
    attrs: dict[str, Any] = {"heads": heads, "shared": shared or None}
    if len(n.outputs) < 2 or not n.outputs[1]:
        n.emit("cached_attention", *operands, outputs=n.outputs[:1], **attrs)
        return
    y, *present = n.parts("cached_attention", *operands, part="attention", results=3, **attrs)
    n.emit("identity", y, outputs=n.outputs[:1])
    n.emit("stack", *present, outputs=n.outputs[1:2], axis=0)


@microsoft("MultiHeadAttention")
def multi_head_attention(n: Native) -> None:
    """Operands: query, key, value, bias, mask of keys, bias of scores, two caches. Without a
    key, queries, keys and values lie in one operand of five axes; without a value, keys
    and values do."""
    q, k, v = projected(n)
    mask = n.input(5) if n.input(5) is not None else n.input(4)
    emit_attention(n, q, k, v, mask, 6)


@microsoft("DecoderMaskedMultiHeadAttention")
def decoder_attention(n: Native) -> None:
    """The same with other places: mask, bias of scores, two caches, and the bias as eleventh;
    what is packed lies side by side."""
    q, k, v = projected(n, bias=10, axis=-1)
    mask = n.input(4) if n.input(4) is not None else n.input(3)
    emit_attention(n, q, k, v, mask, 5)


def projected(n: Native, bias: int = 3, axis: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, each with its part of the bias added."""
    q, k, v, offset = n.given(0), n.input(1), n.input(2), n.input(bias)
    if k is None:
        q, k, v = unpacked(n, q, 3, axis)
    elif v is None:
        k, v = unpacked(n, k, 2, axis)
    if offset is None:
        return q, k, v
    places = n.parts("split", offset, part="bias", results=3, axis=0, ratio=None)
    return (
        n.emit("add", q, places[0], part="query"), n.emit("add", k, places[1], part="key"),
        n.emit("add", v, places[2], part="value"),
    )  # fmt: skip


def unpacked(n: Native, tensor: Tensor, count: int, axis: int) -> list[Tensor]:
    """[b, s, heads, count, d] to so many of [b, s, heads d]; or parts of the last axis."""
    parts = n.parts("split", tensor, part="unpack", results=count, axis=axis)
    if axis == -1:
        return parts
    return [
        n.emit("flatten", t, part=f"unpack.{i}", axis=2, end_axis=4) for i, t in enumerate(parts)
    ]


def emit_attention(
    n: Native, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, past: int
) -> None:
    """Attention whose caches, and how many tokens these hold, are operands from a place on."""
    shared, cache = n.integer("past_present_share_buffer"), n.input(past)
    cached = shared and cache is not None
    n.emit(
        "cached_attention", q, k, v, mask, cache, n.input(past + 1),
        n.input(past + 2) if cached else None, heads=n.integer("num_heads"),
        shared=True if cached else None,
    )  # fmt: skip


@microsoft("GroupQueryAttention", "SparseAttention")
def group_query_attention(n: Native) -> None:
    """Operands: query, key, value, two caches, lengths, their greatest, tables of cosines and
    sines, positions, bias of scores, sink. Without a key, all three lie in one operand."""
    heads, groups = n.integer("num_heads"), n.integer("kv_num_heads")
    q, k, v = n.given(0), n.input(1), n.input(2)
    if k is None or v is None:
        ratio = (heads, groups, groups)
        q, k, v = n.parts("split", q, part="split", results=3, axis=-1, ratio=ratio)
    dense = n.op == "GroupQueryAttention"
    if n.integer("do_rotary"):
        cos = n.input(7 if dense else 9)
        q = rotate(n, q, heads, cos, "query")
        k = rotate(n, k, groups, cos, "key")
    mask, sink = (n.input(10), n.input(11)) if dense else (None, None)
    n.emit(
        "cached_attention", q, k, v, mask, n.input(3), n.input(4), n.input(6 if dense else 7),
        heads=heads, kv_heads=groups,
        softcap=n.real("softcap") or None,
        sink=1 if sink is not None or n.integer("smooth_softmax") > 0 else None,
    )  # fmt: skip


def rotate(n: Native, x: Tensor, heads: int, cos: Tensor | None, part: str) -> Tensor:
    """The table of cosines holds half of what is turned of each head."""
    known = cos is not None and cos.shape is not None and isinstance(cos.shape[-1], int)
    rotated = 2 * cos.shape[-1] * heads if cos is not None and cos.shape and known else None  # type: ignore[operator]
    return n.emit("rotary_embedding", x, part=f"{part}/rotary", rotated=rotated)


@microsoft("RotaryEmbedding")
def rotary(n: Native) -> None:
    part, heads = n.integer("rotary_embedding_dim"), n.integer("num_heads")
    n.emit("rotary_embedding", n.given(0), rotated=part * heads if part and heads else None)


@microsoft("GemmaRotaryEmbedding")
def gemma_rotary(n: Native) -> None:
    """Sine and cosine of the angles, then two operands turned by them."""
    angles = n.given(0)
    sin = n.emit("sin", angles, part="sin")
    cos = n.emit("cos", angles, part="cos")
    sin, cos = (n.emit("unsqueeze", t, part=f"{t.name}/axis", axes=(1,)) for t in (sin, cos))
    for i, (x, turned) in enumerate(((1, 2), (3, 4))):
        a = n.emit("mul", n.given(x), cos, part=f"cos.{i}")
        b = n.emit("mul", n.given(turned), sin, part=f"sin.{i}")
        n.emit("add", a, b, outputs=n.outputs[i : i + 1])


@microsoft("LinearAttention")
def linear_attention(n: Native) -> None:
    n.emit(
        "linear_attention", *n.inputs, heads=n.integer("q_num_heads"),
        kv_heads=n.integer("kv_num_heads"), rule=n.text("update_rule", "gated_delta"),
    )  # fmt: skip


@microsoft("MoE")
def moe(n: Native) -> None:
    """Operands: tokens, router, then weight and bias of three matrices per expert."""
    first, second = (n.given(2), n.input(3)), (n.given(4), n.input(5))
    mixture(n, first, second, (n.input(6), n.input(7)))


@microsoft("QMoE")
def quantized_moe(n: Native) -> None:
    """The same with weights of few bits, each beside its scales."""
    bits = n.integer("expert_weight_bits", 4)
    sides = []
    for i, place in enumerate((2, 5, 8), 1):
        own = n.integer(f"fc{i}_expert_weight_bits")
        weight = unpacked_bits(n.input(place), own if own > 0 else bits)
        sides.append((weight, n.input(place + 2)))
    mixture(n, *sides)


def unpacked_bits(tensor: Tensor | None, bits: int) -> Tensor | None:
    """A tensor of bytes by the small numbers that it holds along its last axis."""
    if tensor is None or tensor.shape is None:
        return tensor
    *rest, last = tensor.shape
    sized = tensor if last is None else replace(tensor, shape=(*rest, last * 8 // bits))
    return replace(learned(sized), dtype=f"uint{bits}")


Side = tuple[Tensor | None, Tensor | None]


def mixture(n: Native, first: Side, second: Side, third: Side) -> None:
    """The k best experts of each token: two matrices with an activation between, and a third
    that gates it, or, fused to the first, half of what it gives (SwiGLU)."""
    k, kind = n.integer("k", 1), n.text("activation_type", "relu")
    scores = n.emit("softmax", n.given(1), part="router")
    n.parts("top_k", scores, part="top_k", results=2, k=k, axis=-1)
    rows = n.emit("repeat_axis", n.given(0), part="rows", repeats=k, axis=-2)
    pattern = "*r k, weight: e n k, bias?: e n -> *r n"

    def product(x: Tensor, side: Side, part: str) -> Tensor:
        return n.emit("grouped_matmul", x, *side, part=part, pattern=pattern)

    hidden, gate = product(rows, first, "fc1"), None
    if kind == "swiglu" and third[0] is None:
        hidden, gate = n.parts("split", hidden, part="halves", results=2, axis=-1)
    elif third[0] is not None:
        gate = product(rows, third, "fc3")
    function = {"swiglu": "silu", "identity": "identity"}.get(kind, kind)
    hidden = n.emit(function, hidden, part=function)
    if gate is not None:
        hidden = n.emit("mul", hidden, gate, part="gate")
    n.emit("combine_experts", product(hidden, second, "fc2"), experts=k)
