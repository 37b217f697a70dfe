"""Operators of quantised models: the products are those of the numbers that were packed."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.frontends.torch.aten import Step, aten, plain
from flopwise.frontends.torch.aten.contraction import convolution
from flopwise.frontends.torch.aten.recurrent import cell
from flopwise.frontends.torch.quantized import (
    ALIKE,
    CONV,
    LINEAR,
    TRANSPOSED,
    Packed,
    settings,
    squeezed,
)  # fmt: skip

Tensor = torch.Tensor
NORMS = {"layer_norm", "group_norm", "instance_norm"}
SPELLED = {"hardswish": "hard_swish", "clamp": "clip"}


def also(name: str, first: Step | list[Step], outputs: list[Tensor]) -> list[Step]:
    """A product, and what is fused behind it."""
    steps = first if isinstance(first, list) else [first]
    if "_add" in name:
        steps.append(Step("add", (outputs[0], outputs[0])))
    for suffix, op in (("leaky_relu", "leaky_relu"), ("relu", "relu"), ("tanh", "tanh")):
        if suffix in name:
            return [*steps, Step(op, (outputs[0],))]
    return steps


def linear(name: str) -> None:
    @aten(f"quantized::{name}")
    def rule(operands: list[Tensor], W_prepack: Packed, outputs: list[Tensor]) -> list[Step]:
        x = operands[0]
        before = [Step("dynamic_quantize", (x,), {}, (x,))] if name.endswith("dynamic") else []
        product = Step("linear", (x, W_prepack.weight, W_prepack.bias))
        return also(name, [*before, product], outputs)


def conv(name: str) -> None:
    @aten(f"quantized::{name}")
    def rule(qx: Tensor, weight: Any, packed_weight: Any, outputs: list[Tensor]) -> list[Step]:
        packed: Packed = packed_weight if weight is None else weight
        step = convolution(
            qx,
            squeezed(packed, qx),
            packed.bias,
            *settings(packed, qx),
            groups=packed.attrs["groups"],
        )
        return also(name, step, outputs)


for _name in LINEAR:
    linear(_name)
for _name in (*CONV, *TRANSPOSED):
    conv(_name)


def elementwise(name: str) -> None:
    """Operators that are one of ours, with another behind it where the name ends in one."""
    op = next((k for k in ("batch_norm", "add", "mul") if name.startswith(k)), name)

    @aten(f"quantized::{name}")
    def rule(operands: list[Tensor], outputs: list[Tensor]) -> list[Step]:
        attrs = {"axes": 1} if name == "layer_norm" else {}
        step = Step(SPELLED.get(op, op), tuple(operands), attrs)
        return (
            [step, Step("relu", (outputs[0],))] if name.endswith("_relu") and op != name else [step]
        )


for _name in ALIKE:
    elementwise(_name)


@aten(*(f"quantized::quantized_{kind}_cell_dynamic" for kind in
        ("lstm", "gru", "rnn_relu", "rnn_tanh")))  # fmt: skip
def recurrent_cell(operands: list[Tensor], w_ih: Packed, w_hh: Packed) -> Step:
    """Biases are packed with the weights, and lie with the cell as well."""
    return cell(operands[0], operands[1:-2], w_ih.weight, w_hh.weight, *operands[-2:])


plain({"quantized::cat": "concat", "quantized::cat_relu": "concat"})


@aten("quantized::matmul")
def matmul(qa: Tensor, qb: Tensor) -> Step:
    return Step("matmul", (qa, qb))


@aten("quantize_per_tensor", "quantize_per_channel")
def quantize(self: Tensor) -> Step:
    return Step("quantize", (self,))


@aten("quantize_per_tensor_dynamic")
def quantize_by_range(self: Tensor) -> Step:
    return Step("dynamic_quantize", (self,))


@aten("dequantize")
def dequantize(operands: list[Tensor]) -> Step:
    return Step("dequantize", tuple(operands))


@aten("_weight_int4pack_mm", "_weight_int4pack_mm_for_cpu", "_weight_int8pack_mm")
def packed_product(self: Tensor, mat2: Tensor) -> Step:
    """A dense layer whose weight lies as the kernel likes it: its sizes follow from the others."""
    return Step("linear", (self, mat2), {"pattern": "*n i, weight: *_, bias?: o -> *n o"})
