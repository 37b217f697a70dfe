"""Pointwise operators, one after another over the elements."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.frontends.torch.aten import SAME, Step, aten, plain

Tensor = torch.Tensor

plain({
    **{name: name for name in (
        "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "atan2", "bitwise_and",
        "bitwise_not", "bitwise_or", "bitwise_xor", "ceil", "celu", "cos", "cosh", "elu", "erf",
        "exp", "exp2", "expm1", "floor", "hardshrink", "isinf", "isnan", "leaky_relu", "log",
        "log1p", "log2", "logaddexp", "mish", "neg", "reciprocal", "relu", "relu6", "round",
        "rsqrt", "selu", "sigmoid", "silu", "sin", "sinh", "softplus", "softshrink", "sqrt",
        "square", "tan", "tanh", "threshold", "trunc",
    )},
    "absolute": "abs", "negative": "neg", "multiply mul": "mul", "log10": "log2",
    "arccos": "acos", "arcsin": "asin", "arctan": "atan", "arctan2": "atan2",
    "subtract rsub": "sub", "true_divide divide": "div", "special_expm1": "expm1",
    "special_erf erfc": "erf", "special_expit": "sigmoid", "fix": "trunc",
    "hardsigmoid": "hard_sigmoid", "hardtanh": "hard_tanh", "hardswish": "hard_swish",
    "log_sigmoid log_sigmoid_forward": "logsigmoid", "rrelu rrelu_with_noise": "leaky_relu",
    "prelu _prelu_kernel": "prelu",
    "eq": "equal", "ne not_equal": "not_equal", "lt less": "less", "gt greater": "greater",
    "le less_equal": "less_equal", "ge greater_equal": "greater_equal",
    "maximum max.other fmax clamp_min clip_min": "max", "minimum min.other fmin clamp_max": "min",
    "sign sgn signbit heaviside": "sign", "isfinite isposinf isneginf": "isinf",
    "logical_and": "and", "logical_or": "or", "logical_xor": "xor", "logical_not": "not",
    "__and__ __iand__": "bitwise_and", "__or__ __ior__": "bitwise_or",
    "__xor__ __ixor__": "bitwise_xor",
    "__lshift__ __rshift__ bitwise_left_shift bitwise_right_shift": "shift",
    "fmod remainder": "mod",
})  # fmt: skip


@aten("equal")
def all_equal(self: Tensor, other: Tensor) -> Step | None:
    """One comparison per element, of tensors that fit; the result is a Python number."""
    if self.shape != other.shape:
        return None
    made = torch.empty(self.shape, dtype=torch.bool, device="meta")
    return Step("equal", (self, other), {}, (made,))


@aten("add", "sub", "__add__")
def add(operands: list[Tensor], alpha: Any) -> Step:
    """With a factor of its own for the second operand it is a multiplication more."""
    return Step("add" if alpha in (1, None) else "fma", tuple(operands))


@aten("sub")
def sub(operands: list[Tensor], alpha: Any) -> Step:
    return Step("sub" if alpha in (1, None) else "fma", tuple(operands))


@aten("addcmul", "lerp")
def multiply_add(operands: list[Tensor]) -> Step:
    return Step("fma", tuple(operands))


@aten("addcdiv")
def divide_add(self: Tensor, tensor1: Tensor, tensor2: Tensor, outputs: list[Tensor]) -> list[Step]:
    ratio = torch.empty_like(outputs[0], device="meta")
    return [Step("div", (tensor1, tensor2), {}, (ratio,)), Step("fma", (self, ratio))]


@aten("div", "floor_divide")
def divide(operands: list[Tensor]) -> Step:
    """Of two numbers, not of tensors: a number."""
    return Step("div" if operands else "constant", tuple(operands))


@aten("pow", "float_power")
def power(operands: list[Tensor], exponent: Any) -> Step:
    """Powers that torch takes by a product or a root."""
    exact = {2: "square", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}
    if isinstance(exponent, (int, float)):
        return Step(exact.get(exponent, "pow"), tuple(operands))
    return Step("pow", tuple(operands))


@aten("polar")
def polar(abs: Tensor, angle: Tensor) -> list[Step]:
    """abs cos(angle) + i abs sin(angle)."""
    parts = [torch.empty_like(angle, device="meta") for _ in range(2)]
    return [
        Step("cos", (angle,), {}, (parts[0],)),
        Step("sin", (angle,), {}, (parts[1],)),
        Step("mul", (abs, parts[0]), {}, (parts[0],)),
        Step("mul", (abs, parts[1])),
    ]


@aten("where")
def where(operands: list[Tensor], self: Any) -> Step:
    """With a condition alone it gives the places where it holds."""
    return Step("nonzero" if self is None else "where", tuple(operands))


@aten("gelu")
def gelu(self: Tensor, approximate: str) -> Step:
    return Step("gelu_tanh" if approximate == "tanh" else "gelu", (self,))


@aten("clamp", "clip")
def clamp(self: Tensor, min: Any, max: Any, operands: list[Tensor]) -> Step:
    if min is None or max is None:
        return Step("min" if min is None else "max", tuple(operands))
    return Step("clip", tuple(operands))


@aten("masked_fill", "masked_fill_")
def masked_fill(operands: list[Tensor]) -> Step:
    return Step("where", tuple(operands))


@aten("glu")
def glu(self: Tensor, outputs: list[Tensor]) -> list[Step]:
    """One half times the sigmoid of the other."""
    half, gate = (torch.empty_like(outputs[0], device="meta") for _ in range(2))
    return [
        Step("split", (self,), {"view": True}, (half, gate)),
        Step("sigmoid", (gate,), {}, (gate,)),
        Step("mul", (half, gate)),
    ]


@aten("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "native_dropout")
def dropout(operands: list[Tensor], train: Any, p: float) -> Step:
    return Step("dropout", tuple(operands), {"ratio": p}) if train and p else SAME
