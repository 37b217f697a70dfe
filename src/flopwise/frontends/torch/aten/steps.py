"""One node to be, and what becomes of it on complex numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from flopwise import ops


@dataclass(frozen=True)
class Step:
    """One node to be: an operator of our vocabulary on torch's tensors.

    `outputs` None stands for all that the ATen operator gives.
    """

    op: str
    inputs: tuple[Any, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[torch.Tensor, ...] | None = None


SAME = Step("", ())  # the result is the operand itself
PRODUCTS = {"matmul", "linear", "einsum", "conv", "conv_transpose", "bilinear", "mul"}
PARTWISE = {"add", "sub", "neg", "where", "equal", "not_equal", "fma"}


def in_real_numbers(steps: list[Step], outputs: list[torch.Tensor]) -> list[Step]:
    """The steps that complex operands make of each: a product of two complex operands is four
    real products and two sums, of one it is two products; sums go part by part. What else a
    pointwise operator is on complex numbers has no formula here."""
    return [real for step in steps for real in _real(step, outputs)]


def _real(step: Step, outputs: list[torch.Tensor]) -> list[Step]:
    entry = ops.find(step.op)
    if entry is None or not any(t is not None and t.is_complex() for t in step.inputs):
        return [step]
    if step.op in PRODUCTS:
        complex_operands = sum(t.is_complex() for t in step.inputs[:2])
        result = (step.outputs or tuple(outputs))[:1]
        sums = [Step("add", result, {}, result)] * 2 if complex_operands == 2 else []
        return [step] * 2**complex_operands + sums
    if step.op in PARTWISE or entry.family == "reduction":
        return [step] * 2
    if step.op == "abs":
        return [replace(step, op=op) for op in ("square", "square", "add", "sqrt")]
    return [replace(step, op="unknown")] if entry.family == "pointwise" else [step]
