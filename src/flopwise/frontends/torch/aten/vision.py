"""Resizing, sampling, regions, patches."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.frontends.torch.aten import Step, aten

Tensor = torch.Tensor


def resize(mode: str, *names: str, **attrs: Any) -> None:
    """Enter an interpolation in the forms that take a size or a scale."""

    @aten(*names)
    def rule(operands: list[Tensor]) -> Step:
        return Step("resize", (operands[0],), {"mode": mode, **attrs})


for _d, _linear in ((1, "linear"), (2, "bilinear"), (3, "trilinear")):
    resize("nearest", f"upsample_nearest{_d}d", f"_upsample_nearest_exact{_d}d")
    resize(_linear, f"upsample_{_linear}{_d}d")
resize("bicubic", "upsample_bicubic2d")
resize("bilinear", "_upsample_bilinear2d_aa", antialias=True)
resize("bicubic", "_upsample_bicubic2d_aa", antialias=True)

KINDS = {0: "linear", 1: "nearest", 2: "cubic"}


@aten("grid_sampler", "grid_sampler_2d", "grid_sampler_3d")
def grid_sample(input: Tensor, grid: Tensor, interpolation_mode: int) -> Step:
    return Step("grid_sample", (input, grid), {"mode": KINDS[interpolation_mode]})


@aten("affine_grid_generator")
def affine_grid(theta: Tensor) -> Step:
    return Step("affine_grid", (theta,))


@aten("torchvision::roi_align")
def roi_align(
    input: Tensor, rois: Tensor, pooled_height: int, pooled_width: int, sampling_ratio: int
) -> Step:
    attrs = {"size": (pooled_height, pooled_width), "samples": max(sampling_ratio, 0)}
    return Step("roi_align", (input, rois), attrs)


@aten("torchvision::deform_conv2d")
def deform_conv(
    input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor, bias: Tensor, use_mask: bool
) -> Step:
    return Step("deform_conv", (input, weight, bias), {"modulated": int(use_mask)})
