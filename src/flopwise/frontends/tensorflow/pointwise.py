"""Pointwise operators and reductions of TensorFlow."""

from __future__ import annotations

from dataclasses import replace

from flopwise.frontends.lowering import floor_div
from flopwise.frontends.tensorflow.native import Native, lowers, same_meaning

# Those that others fuse, by the same names.
ACTIVATIONS = {
    "Relu": "relu", "Relu6": "relu6", "Elu": "elu", "LeakyRelu": "leaky_relu", "Tanh": "tanh",
    "Sigmoid": "sigmoid", "GeluExact": "gelu", "GeluApproximate": "gelu_tanh",
    "Identity": "identity",
}  # fmt: skip

same_meaning({k: v for k, v in ACTIVATIONS.items() if k[0] != "G" and k != "Identity"})
same_meaning({
    "Add": "add", "AddV2": "add", "AddN": "add", "Sub": "sub", "Mul": "mul", "RealDiv": "div",
    "Div": "div", "DivNoNan": "div", "MulNoNan": "mul", "Pow": "pow", "Maximum": "max",
    "Minimum": "min", "FloorMod": "mod", "Mod": "mod", "TruncateMod": "mod", "TruncateDiv": "div",
    "Atan2": "atan2", "Selu": "selu", "Softplus": "softplus", "Softsign": "softsign", "Exp": "exp",
    "Expm1": "expm1", "Log": "log", "Log1p": "log1p", "Erf": "erf", "Sqrt": "sqrt",
    "Rsqrt": "rsqrt", "Square": "square", "Neg": "neg", "Abs": "abs", "Sign": "sign",
    "Floor": "floor", "Ceil": "ceil", "Round": "round", "Rint": "round", "Inv": "reciprocal",
    "Reciprocal": "reciprocal", "Sin": "sin", "Cos": "cos", "Tan": "tan", "Asin": "asin",
    "Acos": "acos", "Atan": "atan", "Sinh": "sinh", "Cosh": "cosh", "Asinh": "asinh",
    "Acosh": "acosh", "Atanh": "atanh", "IsNan": "isnan", "IsInf": "isinf", "IsFinite": "isinf",
    "Less": "less", "LessEqual": "less_equal", "Greater": "greater",
    "GreaterEqual": "greater_equal", "Equal": "equal", "NotEqual": "not_equal",
    "LogicalAnd": "and", "LogicalOr": "or", "LogicalNot": "not", "BitwiseAnd": "bitwise_and",
    "BitwiseOr": "bitwise_or", "BitwiseXor": "bitwise_xor", "Invert": "bitwise_not",
    "RightShift": "shift", "LeftShift": "shift", "SelectV2": "where", "ClipByValue": "clip",
})  # fmt: skip


@lowers("Select")
def select(n: Native) -> None:
    """The condition may be a vector that chooses whole rows."""
    n.emit("where", *n.inputs, like=1)


@lowers("FloorDiv")
def rounded_down(n: Native) -> None:
    floor_div(n, n.given(0), n.given(1))


@lowers("SquaredDifference")
def squared_difference(n: Native) -> None:
    n.emit("square", n.emit("sub", *n.inputs, part="sub"))


@lowers("Erfc")
def erfc(n: Native) -> None:
    one = n.constant(1, n.given(0).dtype, "one")
    n.emit("sub", one, n.emit("erf", n.given(0), part="erf"))


ROUNDINGS = (
    "FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel",
    "QuantizeAndDequantizeV2", "QuantizeAndDequantizeV3", "QuantizeAndDequantizeV4",
)  # fmt: skip


@lowers(*ROUNDINGS)
def fake_quant(n: Native) -> None:
    """Rounded to what an integer can hold, as a float; a weight keeps its shape and its role."""
    x = n.given(0)
    y = n.emit("dequantize", n.emit("quantize", x, part="quantize"))
    if x.role == "weight":
        last = n.block.nodes[-1]
        y = replace(y, shape=x.shape)
        n.block.nodes[-1] = last.between(last.inputs, (y,))
        n.give(y)


REDUCTIONS = {
    "Mean": "reduce_mean", "Sum": "reduce_sum", "Prod": "reduce_prod", "Max": "reduce_max",
    "Min": "reduce_min", "Any": "reduce_any", "All": "reduce_all",
    "EuclideanNorm": "reduce_l2",
}  # fmt: skip


@lowers(*REDUCTIONS)
def reduce(n: Native) -> None:
    axes, keep = n.values(1), n.flag("keep_dims")
    operands = n.inputs[:2] if axes is None else n.inputs[:1]
    n.emit(REDUCTIONS[n.op], *operands, axes=axes, keep=keep)


@lowers("ArgMax", "ArgMin")
def argmax(n: Native) -> None:
    n.emit(n.op.lower(), *n.inputs[:2], keep=False, dtype=n.dtype("output_type") or "int64")


@lowers("Cumsum", "Cumprod")
def cumulated(n: Native) -> None:
    n.emit(n.op.lower(), *n.inputs)


@lowers("L2Loss")
def l2_loss(n: Native) -> None:
    """Half the sum of squares."""
    n.emit("mul", n.emit("reduce_sum_square", n.given(0), part="sum", keep=False),
           n.constant(0.5, n.given(0).dtype, "half"))  # fmt: skip
