"""Products: of experts by groups of rows, with weights of four and eight bits; regions."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.frontends.torch.aten.steps import Step
from flopwise.frontends.torch.kernels import kernel

Tensor = torch.Tensor


def by_group(
    a: Tensor, b: Tensor, sizes: Any, trans_a: bool = False, trans_b: bool = False
) -> Tensor:
    if trans_a:
        return a.new_empty((b.shape[0] if b.dim() == 3 else len(sizes), a.shape[1], b.shape[-1]))
    return a.new_empty((a.shape[0], b.shape[1] if trans_b else b.shape[2]))


@kernel("grouped_gemm.ops:gmm", "grouped_gemm.backend:gmm", result=by_group)
def grouped(
    a: Tensor, b: Tensor, batch_sizes: Any, trans_a: bool = False, trans_b: bool = False
) -> Step:
    """Rows sorted by expert: each meets one matrix, whatever the sizes of groups are."""
    if trans_a:  # the gradient of the weights: every row adds to one matrix
        return Step("einsum", (a, b), {"equation": "rk,rn->kn"})
    pattern = {"pattern": "*r k, weight: e n k, bias?: e n -> *r n"} if trans_b else {}
    return Step("grouped_matmul", (a, b, None), pattern)


PACKED = {"pattern": "*n i, weight: *_, bias?: o -> *n o"}


@kernel("bitsandbytes.autograd._functions:matmul_4bit",
        result=lambda A, B, quant_state, *a, **k: A.new_empty(
            (*A.shape[:-1], quant_state.shape[0])))  # fmt: skip
def four_bits(A: Tensor, B: Tensor, quant_state: Any, out: Any = None, bias: Any = None) -> Step:
    return Step("linear", (A, B, bias), PACKED)


@kernel("bitsandbytes.autograd._functions:matmul",
        result=lambda A, B, *a, **k: A.new_empty((*A.shape[:-1], B.shape[0])))  # fmt: skip
def eight_bits(
    A: Tensor, B: Tensor, out: Any = None, state: Any = None, threshold: Any = 0.0, bias: Any = None
) -> Step:
    return Step("linear", (A, B, bias), PACKED)


def bins(input: Tensor, rois: Tensor, output_size: Any, *rest: Any, **named: Any) -> Tensor:
    size = (output_size,) * 2 if isinstance(output_size, int) else tuple(output_size)
    return input.new_empty((rois.shape[0], input.shape[1], *size))


@kernel("mmcv.ops.roi_align:roi_align", "mmcv.ops.roi_align:RoIAlignFunction.apply", result=bins)
def regions(
    input: Tensor, rois: Tensor, output_size: Any, spatial_scale: float = 1.0,
    sampling_ratio: int = 0, pool_mode: str = "avg", aligned: bool = True,
) -> Step:  # fmt: skip
    mode = {"avg": "mean"}.get(pool_mode, pool_mode)
    size = (output_size,) * 2 if isinstance(output_size, int) else tuple(output_size)
    attrs = {"size": size, "samples": max(sampling_ratio, 0), "mode": mode}
    return Step("roi_align", (input, rois), attrs)
