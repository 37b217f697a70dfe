"""Pointwise operators and reductions of ai.onnx."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.onnx.native import Native, lowers, same_meaning
from flopwise.graph import Tensor

same_meaning({
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "And": "and", "Asin": "asin",
    "Asinh": "asinh", "Atan": "atan", "Atanh": "atanh", "BitShift": "shift",
    "BitwiseAnd": "bitwise_and", "BitwiseNot": "bitwise_not", "BitwiseOr": "bitwise_or",
    "BitwiseXor": "bitwise_xor", "Ceil": "ceil", "Celu": "celu", "Cos": "cos", "Cosh": "cosh",
    "Elu": "elu", "Equal": "equal", "Erf": "erf", "Exp": "exp", "Floor": "floor",
    "Greater": "greater", "GreaterOrEqual": "greater_equal", "HardSigmoid": "hard_sigmoid",
    "HardSwish": "hard_swish", "IsInf": "isinf", "IsNaN": "isnan", "LeakyRelu": "leaky_relu",
    "Less": "less", "LessOrEqual": "less_equal", "Log": "log", "Max": "max", "Min": "min",
    "Mish": "mish", "Mod": "mod", "Neg": "neg", "Not": "not", "Or": "or",
    "Reciprocal": "reciprocal", "Relu": "relu", "Round": "round", "Selu": "selu",
    "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Sinh": "sinh", "Softplus": "softplus",
    "Softsign": "softsign", "Sqrt": "sqrt", "Sum": "add", "Tan": "tan", "Tanh": "tanh",
    "ThresholdedRelu": "threshold", "Where": "where", "Xor": "xor",
})  # fmt: skip


@lowers("Add", "Sub", "Mul", "Div")
def arithmetic(n: Native) -> None:
    """Before version 7 the second operand was laid along a named axis of the first."""
    n.emit(n.op.lower(), *n.inputs, like=0 if n.version < 7 else None)


POWERS = {2: "square", 0.5: "sqrt", -1: "reciprocal", -0.5: "rsqrt", 1: "identity"}


@lowers("Pow")
def power(n: Native) -> None:
    """A square is a multiplication, not a logarithm and an exponential."""
    exponent = n.given(1)
    if exponent.value is not None and exponent.value.size == 1:
        op = POWERS.get(float(exponent.value.ravel()[0]))
        if op is not None:
            n.emit(op, n.given(0))
            return
    n.emit("pow", *n.inputs)


@lowers("Clip")
def clip(n: Native) -> None:
    """One bound is one comparison."""
    low = n.input(1) is not None or "min" in n.attrs
    high = n.input(2) is not None or "max" in n.attrs
    if (low and high) or n.version < 11:
        n.emit("clip", *n.inputs, like=0)
    elif low or high:
        n.emit("max" if low else "min", *(t for t in n.inputs if t is not None), like=0)
    else:
        n.emit("identity", n.given(0))


@lowers("PRelu")
def prelu(n: Native) -> None:
    n.emit("prelu", *n.inputs, like=0)


@lowers("Mean")
def mean(n: Native) -> None:
    total = n.emit("add", *n.inputs, part="sum")
    n.emit("div", total, scalar(n, len(n.inputs)))


def scalar(n: Native, value: float) -> Tensor:
    """A number that the operator holds itself: neither stored nor learned."""
    return Tensor(f"{n.name}/{value}", (), "float32", "constant")


REDUCTIONS = {
    "ReduceL1": "reduce_l1", "ReduceL2": "reduce_l2", "ReduceLogSum": "reduce_log_sum",
    "ReduceLogSumExp": "reduce_log_sum_exp", "ReduceMax": "reduce_max",
    "ReduceMean": "reduce_mean", "ReduceMin": "reduce_max", "ReduceProd": "reduce_prod",
    "ReduceSum": "reduce_sum", "ReduceSumSquare": "reduce_sum_square",
}  # fmt: skip


@lowers(*REDUCTIONS)
def reduction(n: Native) -> None:
    """Axes are an attribute in old versions, an operand in new ones; none means all."""
    axes = n.input(1)
    attrs: dict[str, Any] = {"keep": n.integer("keepdims", 1) == 1}
    listed = n.integers("axes")
    if listed is None and axes is not None and axes.value is not None:
        listed = tuple(axes.value.ravel().tolist())
    if not listed and (listed is not None or axes is None):
        if n.integer("noop_with_empty_axes"):
            n.emit("identity", n.given(0))
            return
    elif listed:
        attrs["axes"] = listed
    n.emit(REDUCTIONS[n.op], *n.inputs[: 1 if listed or axes is None else 2], **attrs)


@lowers("ArgMax", "ArgMin")
def argmax(n: Native) -> None:
    keep = n.integer("keepdims", 1) == 1
    n.emit("argmax", n.given(0), axes=(n.integer("axis"),), keep=keep)


@lowers("CumSum", "CumProd")
def running(n: Native) -> None:
    axis = n.given(1).value
    n.emit(n.op.lower(), n.given(0), axis=None if axis is None else int(axis.ravel()[0]))
