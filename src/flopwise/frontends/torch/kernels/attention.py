"""Attention kernels: flash-attention, xformers, NATTEN, deformable attention."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.counts import Counts
from flopwise.errors import UnknownValue
from flopwise.frontends.torch.aten.steps import Step
from flopwise.frontends.torch.kernels import kernel
from flopwise.ops.attention import attend
from flopwise.ops.vision import blend

Tensor = torch.Tensor
FLASH = "flash_attn.flash_attn_interface:"
HEADS_INSIDE = "*b q h d, key: *b k g d, value: *b k g v, mask?: *_ -> *b q h v"


def queries(q: Tensor, k: Tensor, v: Tensor, *rest: Any, **named: Any) -> Tensor:
    """One row of the width of values for each query."""
    return q.new_empty((*q.shape[:-1], v.shape[-1]))


def as_first(x: Tensor, *rest: Any, **named: Any) -> Tensor:
    return x.new_empty(x.shape)


@kernel(f"{FLASH}flash_attn_func", "flash_attn_interface:flash_attn_func",
        "xformers.ops.fmha:memory_efficient_attention", result=queries)  # fmt: skip
def flash(q: Tensor, k: Tensor, v: Tensor, *rest: Any, **named: Any) -> Step:
    """Heads lie inside; a causal mask leaves the count of the full square."""
    attrs: dict[str, Any] = {"pattern": HEADS_INSIDE}
    if named.get("causal"):
        attrs["causal"] = True
    return Step("attention", (q, k, v, None), attrs)


@kernel(f"{FLASH}flash_attn_qkvpacked_func", result=lambda qkv, *a, **k: qkv.select(2, 0).clone())
def packed(qkv: Tensor, *rest: Any, **named: Any) -> Step:
    return flash(*qkv.unbind(2), **named)


@kernel(f"{FLASH}flash_attn_varlen_func", result=queries)
def uneven(
    q: Tensor, k: Tensor, v: Tensor, cu_seqlens_q: Tensor, cu_seqlens_k: Tensor, *rest: Any,
    **named: Any,
) -> Counts:  # fmt: skip
    """Sequences one after another, from their first places: each attends to its own."""
    if cu_seqlens_q.is_meta or cu_seqlens_k.is_meta:
        raise UnknownValue("flash_attn_varlen_func: give the lengths of sequences as tensors")
    lengths = (t.diff().tolist() for t in (cu_seqlens_q, cu_seqlens_k))
    heads, d, width = q.shape[-2], q.shape[-1], v.shape[-1]
    return sum(
        (attend(heads, a, b, d, width, 0, 1, 0, 0) for a, b in zip(*lengths)), Counts()
    )  # fmt: skip


def neighbours(
    heads: int, places: int, kernel_size: Any, rank: int, q: Tensor, v: Tensor
) -> Counts:
    """Each place attends to a window around it, at edges to as many."""
    window = 1
    for size in (kernel_size,) * rank if isinstance(kernel_size, int) else kernel_size:
        window *= size
    return attend(heads * places, 1, window, q.shape[-1], v.shape[-1], 0, 1, 0, 0)


def natten(rank: int) -> None:
    """The fused kernel takes batch, places, heads, width; its two halves batch, heads, places."""
    name = f"na{rank}d"

    @kernel(f"natten.functional:{name}", f"natten:{name}", result=queries)
    def whole(
        query: Tensor, key: Tensor, value: Tensor, kernel_size: Any, *a: Any, **n: Any
    ) -> Counts:
        rows = query.numel() // query.shape[-1]
        return neighbours(1, rows, kernel_size, rank, query, value)

    def scores(query: Tensor, key: Tensor, *rest: Any, **named: Any) -> Tensor:
        return query.new_empty((*query.shape[:-1], _window(rank, rest, named)))

    @kernel(f"natten.functional:{name}_qk", result=scores)
    def first(query: Tensor, key: Tensor, *rest: Any, **named: Any) -> Counts:
        rows = query.numel() // query.shape[-1] * _window(rank, rest, named)
        return Counts(mac=rows * query.shape[-1], dot=rows)

    @kernel(f"natten.functional:{name}_av", result=lambda attn, value, *a, **k: as_first(value))
    def second(attn: Tensor, value: Tensor, *rest: Any, **named: Any) -> Counts:
        return Counts(mac=value.numel() * attn.shape[-1], dot=value.numel())


def _window(rank: int, rest: Any, named: Any) -> int:
    size = named.get("kernel_size", rest[0] if rest else None)
    window = 1
    for one in (size,) * rank if isinstance(size, int) else size:
        window *= one
    return window


for _rank in (1, 2, 3):
    natten(_rank)


def joined(value: Tensor, shapes: Any, starts: Any, locations: Tensor, *rest: Any) -> Tensor:
    return value.new_empty((*locations.shape[:2], value.shape[2] * value.shape[3]))


@kernel("mmcv.ops.multi_scale_deform_attn:MultiScaleDeformableAttnFunction.apply",
        "models.ops.functions.ms_deform_attn_func:MSDeformAttnFunction.apply",
        "MultiScaleDeformableAttention:ms_deform_attn_forward", result=joined)  # fmt: skip
def deformable(
    value: Tensor, shapes: Any, starts: Any, locations: Tensor, weights: Tensor, *rest: Any
) -> Counts:
    """Each query of each head blends four neighbours at each point of each level, and adds the
    points up by their weights; elementwise, as torch has it (Zhu et al. 2021, eq. 3)."""
    points, width = weights.numel(), value.shape[3]
    results = locations.shape[0] * locations.shape[1] * value.shape[2] * width
    summed = Counts(mul=points * width, add=points * width - results)
    return blend(points * width, 4) + summed
