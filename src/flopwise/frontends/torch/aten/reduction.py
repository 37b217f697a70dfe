"""Reductions and pooling."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.frontends.torch.aten import Step, aten, plain

Tensor = torch.Tensor

plain({
    "sum nansum": "reduce_sum",
    "mean nanmean": "reduce_mean",
    "amax max amin min": "reduce_max",
    "prod": "reduce_prod",
    "var": "reduce_var",
    "std": "reduce_std",
    "any all _is_all_true _is_any_true": "reduce_any",
    "count_nonzero": "reduce_sum",
    "argmax argmin": "argmax",
    "logsumexp special_logsumexp": "reduce_log_sum_exp",
})  # fmt: skip


@aten("var_mean", "std_mean", "aminmax")
def both(operands: list[Tensor], outputs: list[Tensor]) -> Step:
    """The mean is a by-product of the variance."""
    return Step("reduce_var", tuple(operands), {}, tuple(outputs))


@aten("linalg_vector_norm", "norm")
def norm(self: Tensor, ord: Any, p: Any) -> Step:
    kinds = {1: "reduce_l1", 2: "reduce_l2"}
    power = ord if ord is not None else 2 if p is None else p
    if power in (float("inf"), float("-inf")):
        return Step("reduce_max", (self,))
    return Step(kinds.get(power, "unknown"), (self,))


@aten("cumsum")
def cumsum(self: Tensor, dim: int) -> Step:
    return Step("cumsum", (self,), {"axis": dim})


@aten("cumprod")
def cumprod(self: Tensor, dim: int) -> Step:
    return Step("cumprod", (self,), {"axis": dim})


def windows(op: str, x: Tensor, space: int, **attrs: Any) -> Step:
    """A pooling; one image without a batch axis has its own pattern."""
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in attrs.items()}
    if x.dim() == space + 1:
        plain |= {"pattern": "c *x -> c *y", "n": 1}
    return Step(op, (x,), plain)


@aten(
    "max_pool1d", "max_pool2d", "max_pool3d", "max_pool1d_with_indices",
    "max_pool2d_with_indices", "max_pool3d_with_indices", "fractional_max_pool2d",
    "fractional_max_pool3d",
)  # fmt: skip
def max_pool(
    self: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any
) -> Step:
    return windows(
        "max_pool", self, len(kernel_size), k=kernel_size, stride=stride or kernel_size,
        pad=padding or 0, dilation=dilation or 1, ceil=bool(ceil_mode),
    )  # fmt: skip


@aten("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(self: Tensor, kernel_size: Any, stride: Any, padding: Any, ceil_mode: Any) -> Step:
    return windows(
        "avg_pool", self, len(kernel_size), k=kernel_size, stride=stride or kernel_size,
        pad=padding, ceil=ceil_mode,
    )  # fmt: skip


@aten(
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d",
    "_adaptive_avg_pool3d",
)  # fmt: skip
def adaptive_avg_pool(self: Tensor, output_size: Any) -> Step:
    return windows("adaptive_avg_pool", self, len(output_size), size=output_size)


@aten("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_max_pool(self: Tensor, output_size: Any) -> Step:
    return windows("adaptive_max_pool", self, len(output_size), size=output_size)
