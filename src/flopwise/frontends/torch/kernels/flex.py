"""Flex attention: a fused kernel around a function of the user's, which changes each score."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.frontends.torch.aten.attention import attend
from flopwise.frontends.torch.aten.steps import Step
from flopwise.frontends.torch.kernels import kernel

Tensor = torch.Tensor


def attended(
    query: Tensor, key: Tensor, value: Tensor, *rest: Any, return_lse: bool = False, **named: Any
) -> Any:
    made = query.new_empty((*query.shape[:-1], value.shape[-1]))
    return (made, query.new_empty(query.shape[:-1])) if return_lse else made


def scores(
    query: Tensor, key: Tensor, value: Tensor, score_mod: Any = None, *a: Any, **k: Any
) -> None:
    """The user's function on every score, with its places along batch, heads, queries, keys."""
    if score_mod is None:
        return
    shape = (*query.shape[:-1], key.shape[-2])
    places = (
        torch.empty(
            [size if i == axis else 1 for i in range(4)], dtype=torch.int64, device="meta"
        )
        for axis, size in enumerate(shape)
    )  # fmt: skip
    score_mod(torch.empty(shape, dtype=query.dtype, device="meta"), *places)


@kernel("torch.nn.attention.flex_attention:flex_attention", result=attended, calls=scores)
def flex(
    query: Tensor, key: Tensor, value: Tensor, score_mod: Any = None, block_mask: Any = None,
    scale: Any = None, enable_gqa: bool = False, kernel_options: Any = None, **named: Any,
) -> Step:  # fmt: skip
    """The full square, as for any other attention; a node that has a mask of blocks says so."""
    attrs = {"blocks": True} if block_mask is not None else {}
    return attend(query, key, value, None, **attrs)
