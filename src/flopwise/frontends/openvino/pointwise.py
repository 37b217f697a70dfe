"""Pointwise layers of OpenVINO, and reductions."""

from __future__ import annotations

from flopwise.frontends.openvino.native import Native, lowers, same_meaning

same_meaning({
    "Add": "add", "Subtract": "sub", "Multiply": "mul", "Divide": "div", "Power": "pow",
    "Maximum": "max", "Minimum": "min", "Mod": "mod", "FloorMod": "mod", "Equal": "equal",
    "NotEqual": "not_equal", "Greater": "greater", "GreaterEqual": "greater_equal",
    "Less": "less", "LessEqual": "less_equal", "LogicalAnd": "and", "LogicalOr": "or",
    "LogicalXor": "xor", "LogicalNot": "not", "BitwiseAnd": "bitwise_and",
    "BitwiseOr": "bitwise_or", "BitwiseXor": "bitwise_xor", "BitwiseNot": "bitwise_not",
    "BitwiseLeftShift": "shift", "BitwiseRightShift": "shift", "Select": "where",
})  # fmt: skip
same_meaning({
    "Abs": "abs", "Negative": "neg", "Sign": "sign", "Floor": "floor", "Ceiling": "ceil",
    "Round": "round", "Sqrt": "sqrt", "Exp": "exp", "Log": "log", "Erf": "erf", "Sin": "sin",
    "Cos": "cos", "Tan": "tan", "Asin": "asin", "Acos": "acos", "Atan": "atan", "Sinh": "sinh",
    "Cosh": "cosh", "Asinh": "asinh", "Acosh": "acosh", "Atanh": "atanh", "ReLU": "relu",
    "Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "TanH": "tanh", "Elu": "elu",
    "Selu": "selu", "HSwish": "hard_swish", "HSigmoid": "hard_sigmoid",
    "HardSigmoid": "hard_sigmoid", "Mish": "mish", "Swish": "silu", "SoftPlus": "softplus",
    "SoftSign": "softsign", "Clamp": "clip", "IsInf": "isinf", "IsNaN": "isnan",
    "IsFinite": "isinf",
}, 1)  # fmt: skip

REDUCTIONS = {
    "ReduceSum": "reduce_sum", "ReduceMean": "reduce_mean", "ReduceMax": "reduce_max",
    "ReduceMin": "reduce_min", "ReduceProd": "reduce_prod", "ReduceL1": "reduce_l1",
    "ReduceL2": "reduce_l2", "ReduceLogicalAnd": "reduce_all", "ReduceLogicalOr": "reduce_any",
}  # fmt: skip


@lowers(*REDUCTIONS)
def reduce(n: Native) -> None:
    """The axes are an operand."""
    axes, keep = n.values(1), n.flag("keep_dims")
    operands = n.inputs if axes is None else n.inputs[:1]
    n.emit(REDUCTIONS[n.kind], *operands, axes=axes, keep=keep)


@lowers("PReLU")
def prelu(n: Native) -> None:
    """A slope per channel, whatever the rank of the data."""
    n.emit("prelu", *n.inputs, like=0)


@lowers("SquaredDifference")
def squared_difference(n: Native) -> None:
    n.emit("square", n.emit("sub", *n.inputs, part="difference"))


@lowers("Gelu")
def gelu(n: Native) -> None:
    smooth = n.text("approximation_mode", "ERF").upper() == "TANH"
    n.emit("gelu_tanh" if smooth else "gelu", n.given(0))


@lowers("FakeQuantize")
def fake_quantize(n: Native) -> None:
    """To one of some levels of a range, and back."""
    n.emit("dequantize", n.emit("quantize", n.given(0), part="levels"))


@lowers("FakeConvert")
def fake_convert(n: Native) -> None:
    n.emit("dequantize", n.emit("quantize", n.given(0), part="levels"))


@lowers("CumSum")
def cumsum(n: Native) -> None:
    axis = n.values(1)
    n.emit("cumsum", n.given(0), axis=axis[0] if axis else 0)
