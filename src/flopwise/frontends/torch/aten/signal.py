"""Fourier transforms, and linear algebra on whole matrices."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.frontends.torch.aten import Step, aten, plain

Tensor = torch.Tensor

plain({
    "inverse linalg_inv_ex linalg_inv": "matrix_inverse",
    "det linalg_det": "determinant",
    "linalg_cross cross": "cross",
})  # fmt: skip


@aten("_fft_r2c")
def to_frequencies(self: Tensor, dim: Any, onesided: bool) -> Step:
    """The last of the axes is the real one; all of its results are kept unless one-sided."""
    kind = "real" if onesided else "complex"
    return Step("fft", (self,), {"axes": tuple(dim), "kind": kind})


@aten("_fft_c2r")
def from_frequencies(self: Tensor, dim: Any) -> Step:
    return Step("fft", (self,), {"axes": tuple(dim), "kind": "inverse_real"})


@aten("_fft_c2c")
def between_frequencies(self: Tensor, dim: Any) -> Step:
    return Step("fft", (self,), {"axes": tuple(dim)})
