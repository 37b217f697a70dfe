"""Pointwise operators and reductions of ai.onnx."""

from __future__ import annotations

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
    "Mish": "mish", "Neg": "neg", "Not": "not", "Or": "or",
    "Reciprocal": "reciprocal", "Relu": "relu", "Round": "round", "Selu": "selu",
    "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Sinh": "sinh", "Softplus": "softplus",
    "Softsign": "softsign", "Sqrt": "sqrt", "Sum": "add", "Tan": "tan", "Tanh": "tanh",
    "ThresholdedRelu": "threshold", "Where": "where", "Xor": "xor",
})  # fmt: skip


@lowers("Add", "Sub", "Mul", "Div")
def arithmetic(n: Native) -> None:
    """Before version 7 the second operand was laid along a named axis of the first."""
    n.emit(n.op.lower(), *n.inputs, like=0 if n.version < 7 else None)


@lowers("Mod")
def mod(n: Native) -> None:
    n.emit("mod", *n.inputs, fmod=bool(n.integer("fmod")))


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
    "ReduceMean": "reduce_mean", "ReduceMin": "reduce_min", "ReduceProd": "reduce_prod",
    "ReduceSum": "reduce_sum", "ReduceSumSquare": "reduce_sum_square",
}  # fmt: skip


@lowers(*REDUCTIONS)
def reduction(n: Native) -> None:
    """Axes are an attribute in old versions, an operand in new ones; none means all, or
    nothing where the node says so."""
    axes, operand, nothing = n.integers("axes"), n.input(1), n.integer("noop_with_empty_axes")
    none = operand is None or (operand.value is not None and operand.value.size == 0)
    if nothing and not axes and none:
        n.emit("identity", n.given(0))
        return
    keep = n.integer("keepdims", 1) == 1
    n.emit(REDUCTIONS[n.op], *n.inputs, axes=axes or None, keep=keep, none_is_all=not nothing)


@lowers("CumSum", "CumProd")
def running(n: Native) -> None:
    exclusive, reverse = bool(n.integer("exclusive")), bool(n.integer("reverse"))
    n.emit(n.op.lower(), *n.inputs, exclusive=exclusive, reverse=reverse)


@lowers("Gelu")
def gelu(n: Native) -> None:
    tanh = n.text("approximate", "none") == "tanh"
    n.emit("gelu_tanh" if tanh else "gelu", n.given(0))


@lowers("Swish")
def swish(n: Native) -> None:
    n.emit("silu" if n.real("alpha", 1.0) == 1 else "quick_gelu", n.given(0))


@lowers("SwiGLU")
def swiglu(n: Native) -> None:
    """The swish of one operand times the other."""
    op = "silu" if n.real("alpha", 1.0) == 1 else "quick_gelu"
    n.emit("mul", n.emit(op, n.given(0), part="swish"), n.given(1))


@lowers("Shrink")
def shrink(n: Native) -> None:
    n.emit("softshrink" if n.real("bias") else "hardshrink", n.given(0))
