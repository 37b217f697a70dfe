"""Attention, whichever kernel computes it."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.frontends.torch.aten import Step, aten
from flopwise.frontends.torch.aten.movement import fits

Tensor = torch.Tensor
# Batch axes may broadcast, and so may heads: they are those of the result.
BROADCAST = "*_ q d, key: *_ k d, value: *_ k v, mask?: *_ -> *b q v"


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Any, **attrs: Any) -> Step:
    """One attention; grouped heads and broadcast batches are counted by the result."""
    batch = query.shape[:-3], key.shape[:-3], value.shape[:-3]
    alike = batch[0] == batch[1] == batch[2]
    regular = query.dim() > 2 and alike and key.shape[-3] == value.shape[-3]
    if not regular:
        attrs["pattern"] = BROADCAST
    return Step("attention", (query, key, value, mask), attrs)


@aten("scaled_dot_product_attention", "_scaled_dot_product_attention_math")
def attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Any, is_causal: bool, scale: Any,
    dropout_p: Any = None,
) -> Step:  # fmt: skip
    attrs: dict[str, Any] = {"causal": True} if is_causal else {}
    if dropout_p:
        attrs |= {"dropout": dropout_p, "copied": not fits(value, (-1, *value.shape[-2:]))}
    if scale == 1:
        attrs["scaled"] = 0
    return attend(query, key, value, attn_mask, **attrs)


@aten(
    "_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable", "_safe_scaled_dot_product_attention",
)  # fmt: skip
def fused_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Any, attn_bias: Any, is_causal: bool,
    scale: Any, outputs: list[Tensor],
) -> Step:  # fmt: skip
    """Its further results (log-sum-exp, random state) cost nothing beside it."""
    mask = attn_mask if attn_mask is not None else attn_bias
    whole = attention(query, key, value, mask, is_causal, scale)
    return Step(whole.op, whole.inputs, whole.attrs, tuple(outputs[:1]))


@aten("_flash_attention_forward", "_efficient_attention_forward")
def packed_attention(operands: list[Tensor]) -> Step:
    """Sequences of unlike length in one batch: their lengths are data."""
    return Step("unknown", tuple(operands))


@aten("_native_multi_head_attention")
def native_attention(
    query: Tensor, key: Tensor, value: Tensor, num_head: int, qkv_weight: Tensor, qkv_bias: Any,
    proj_weight: Tensor, proj_bias: Any, mask: Any, outputs: list[Tensor],
) -> list[Step]:  # fmt: skip
    """The fused fast path of nn.MultiheadAttention."""
    n, q, e = query.shape
    packed = query.new_empty([n, q, 3 * e], device="meta")
    heads = query.new_empty([n, num_head, q, e // num_head], device="meta")
    joined = query.new_empty([n, q, e], device="meta")
    return [
        Step("linear", (query, qkv_weight, qkv_bias), {}, (packed,)),
        Step("attention", (heads, heads, heads, mask), {}, (heads,)),
        Step("linear", (joined, proj_weight, proj_bias), {}, tuple(outputs[:1])),
    ]


@aten("_transformer_encoder_layer_fwd")
def encoder_layer(
    src: Tensor, num_heads: int, qkv_weight: Tensor, qkv_bias: Any, proj_weight: Tensor,
    proj_bias: Any, use_gelu: bool, norm_weight_1: Tensor, norm_bias_1: Tensor,
    norm_weight_2: Tensor, norm_bias_2: Tensor, ffn_weight_1: Tensor, ffn_bias_1: Any,
    ffn_weight_2: Tensor, ffn_bias_2: Any, mask: Any, outputs: list[Tensor],
) -> list[Step]:  # fmt: skip
    """The fused fast path of nn.TransformerEncoderLayer."""
    wide = src.new_empty([*src.shape[:-1], ffn_weight_1.shape[0]], device="meta")
    whole = tuple(outputs[:1])
    return [
        *native_attention(
            src, src, src, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias, mask, [src]
        ),
        Step("add", (src, src), {}, whole),
        Step("layer_norm", (src, norm_weight_1, norm_bias_1), {"axes": 1}, whole),
        Step("linear", (src, ffn_weight_1, ffn_bias_1), {}, (wide,)),
        Step("gelu" if use_gelu else "relu", (wide,), {}, (wide,)),
        Step("linear", (wide, ffn_weight_2, ffn_bias_2), {}, whole),
        Step("add", (src, src), {}, whole),
        Step("layer_norm", (src, norm_weight_2, norm_bias_2), {"axes": 1}, whole),
    ]
