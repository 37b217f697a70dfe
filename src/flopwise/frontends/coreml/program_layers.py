"""Arithmetic of MIL: convolutions, products, pooling, normalisation, pointwise.

https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
"""

from __future__ import annotations

from typing import Any

from flopwise.frontends.coreml.native import Native, lowers, same_meaning
from flopwise.frontends.lowering import floor_div

same_meaning({
    "abs": "abs", "acos": "acos", "asin": "asin", "atan": "atan", "atanh": "atanh", "ceil": "ceil",
    "cos": "cos", "cosh": "cosh", "erf": "erf", "exp": "exp", "exp2": "exp2", "floor": "floor",
    "logical_not": "not", "round": "round", "sign": "sign", "sin": "sin", "sinh": "sinh",
    "sqrt": "sqrt", "square": "square", "tan": "tan", "tanh": "tanh", "relu": "relu",
    "relu6": "relu6", "sigmoid": "sigmoid", "silu": "silu", "softplus": "softplus",
    "softsign": "softsign", "elu": "elu", "leaky_relu": "leaky_relu",
    "sigmoid_hard": "hard_sigmoid", "clip": "clip", "threshold": "relu",
    "thresholded_relu": "threshold", "rsqrt": "rsqrt", "log": "log", "inverse": "reciprocal",
}, "x")  # fmt: skip
same_meaning({
    "add": "add", "sub": "sub", "mul": "mul", "real_div": "div", "pow": "pow", "mod": "mod",
    "maximum": "max", "minimum": "min", "equal": "equal", "not_equal": "not_equal",
    "greater": "greater", "greater_equal": "greater_equal", "less": "less",
    "less_equal": "less_equal", "logical_and": "and", "logical_or": "or", "logical_xor": "xor",
}, "x", "y")  # fmt: skip
same_meaning({"select": "where"}, "cond", "a", "b")


@lowers("floor_div")
def rounded_down(n: Native) -> None:
    floor_div(n, n.given("x"), n.given("y"))


@lowers("clamped_relu")
def clamped_relu(n: Native) -> None:
    """min(x or alpha x, beta)"""
    n.emit("clip", n.emit("leaky_relu", n.given("x"), part="leak"))


@lowers("linear_activation")
def linear_activation(n: Native) -> None:
    n.emit("add", n.emit("mul", n.given("x"), part="alpha"))


@lowers("scaled_tanh")
def scaled_tanh(n: Native) -> None:
    inner = n.emit("mul", n.given("x"), part="beta")
    n.emit("mul", n.emit("tanh", inner, part="tanh"))


@lowers("softplus_parametric")
def softplus_parametric(n: Native) -> None:
    alpha, beta = n.given("alpha"), n.given("beta")
    inner = n.emit("mul", n.given("x"), beta, part="beta", like=0)
    n.emit("mul", n.emit("softplus", inner, part="softplus"), alpha, like=0)


@lowers("prelu")
def prelu(n: Native) -> None:
    n.emit("prelu", n.given("x"), n.given("alpha"), like=0)


@lowers("gelu")
def gelu(n: Native) -> None:
    kinds = {"TANH_APPROXIMATION": "gelu_tanh", "SIGMOID_APPROXIMATION": "quick_gelu"}
    n.emit(kinds.get(n.text("mode", "EXACT"), "gelu"), n.given("x"))


@lowers("quantize", "dequantize")
def quantize(n: Native) -> None:
    scale, zero = n.given("scale"), n.maybe("zero_point")
    n.emit(n.op, n.given("input"), scale, zero, like=0)


def window(n: Native) -> dict[str, Any]:
    """Pads are before and after each axis."""
    kind, flat = n.text("pad_type", "valid"), n.numbers("pad")
    pad: Any = "same" if kind.startswith("same") else 0
    if kind == "custom" and flat:
        pad = tuple(zip(flat[::2], flat[1::2]))
    return {
        "stride": tuple(n.numbers("strides") or (1,)), "pad": pad,
        "dilation": tuple(n.numbers("dilations") or (1,)),
    }  # fmt: skip


@lowers("conv")
def conv(n: Native) -> None:
    operands = n.given("x"), n.given("weight"), n.maybe("bias")
    n.emit("conv", *operands, groups=n.number("groups", 1), **window(n))


@lowers("conv_quantized")
def conv_quantized(n: Native) -> None:
    """The weights are restored first."""
    scale = n.maybe("quant_scale")
    weight = n.emit("dequantize", n.given("weight"), scale, part="weight", like=0, dtype="float32")
    operands = n.given("x"), weight, n.maybe("bias")
    n.emit("conv", *operands, groups=n.number("groups", 1), **window(n))


@lowers("conv_transpose")
def conv_transpose(n: Native) -> None:
    weight, groups, attrs = n.given("weight"), n.number("groups", 1), window(n)
    if size := n.numbers("output_shape"):
        attrs |= {"y": tuple(size[2:]), "pad": 0}
    f = groups * weight.sizes[1]
    operands = n.given("x"), weight, n.maybe("bias")
    n.emit("conv_transpose", *operands, f=f, groups=groups, **attrs)


@lowers("linear")
def linear(n: Native) -> None:
    n.emit("linear", n.given("x"), n.given("weight"), n.maybe("bias"))


@lowers("matmul")
def matmul(n: Native) -> None:
    a = "k m" if n.flag("transpose_x") else "m k"
    b = "n k" if n.flag("transpose_y") else "k n"
    operands = n.given("x"), n.given("y")
    if n.flag("transpose_x") or n.flag("transpose_y"):
        n.emit("matmul", *operands, pattern=f"*p {a}, *q {b} -> *b m n")
    else:
        n.emit("matmul", *operands)


@lowers("einsum")
def einsum(n: Native) -> None:
    n.emit("einsum", *n.tensors("values"), equation=n.text("equation"))


@lowers("scaled_dot_product_attention")
def attention(n: Native) -> None:
    n.emit("attention", *map(n.given, ("query", "key", "value")), n.maybe("attn_mask"))


@lowers("max_pool", "avg_pool", "l2_pool")
def pool(n: Native) -> None:
    op = {"max_pool": "max_pool", "avg_pool": "avg_pool", "l2_pool": "lp_pool"}[n.op]
    attrs = window(n)
    del attrs["dilation"]
    n.emit(op, n.given("x"), k=tuple(n.numbers("kernel_sizes") or ()),
           ceil=n.flag("ceil_mode"), **attrs)  # fmt: skip


@lowers("batch_norm")
def batch_norm(n: Native) -> None:
    statistics = n.given("x"), n.given("mean"), n.given("variance")
    n.emit("batch_norm", *statistics, n.maybe("gamma"), n.maybe("beta"))


@lowers("instance_norm")
def instance_norm(n: Native) -> None:
    n.emit("instance_norm", n.given("x"), n.maybe("gamma"), n.maybe("beta"))


@lowers("layer_norm")
def layer_norm(n: Native) -> None:
    """Over trailing axes; over others it is a mean and a variance."""
    axes, gamma, beta = n.numbers("axes"), n.maybe("gamma"), n.maybe("beta")
    rank = len(n.given("x").shape or ()) or None
    first = None if axes is None else min(a + (rank or 0) if a < 0 else a for a in axes)
    if axes is None:
        n.emit("layer_norm", n.given("x"), gamma, beta, axis=0)
    elif all(a < 0 for a in axes):
        n.emit("layer_norm", n.given("x"), gamma, beta, axes=len(axes))
    elif rank is not None and first is not None and first + len(axes) == rank:
        n.emit("layer_norm", n.given("x"), gamma, beta, axis=first)
    else:
        n.unknown()


@lowers("l2_norm")
def l2_norm(n: Native) -> None:
    """Over channels, height and width."""
    n.emit("l2_norm", n.given("x"), axes=(-3, -2, -1))


@lowers("local_response_norm")
def local_response_norm(n: Native) -> None:
    n.emit("lrn", n.given("x"), size=n.number("size"))


@lowers("softmax")
def softmax(n: Native) -> None:
    n.emit("softmax", n.given("x"), axis=n.number("axis", -1))


REDUCTIONS = {
    "reduce_sum": "reduce_sum", "reduce_mean": "reduce_mean", "reduce_max": "reduce_max",
    "reduce_min": "reduce_min", "reduce_prod": "reduce_prod", "reduce_l1_norm": "reduce_l1",
    "reduce_l2_norm": "reduce_l2", "reduce_log_sum": "reduce_log_sum",
    "reduce_log_sum_exp": "reduce_log_sum_exp", "reduce_sum_square": "reduce_sum_square",
    "reduce_argmax": "argmax", "reduce_argmin": "argmin",
}  # fmt: skip


@lowers(*REDUCTIONS)
def reduce(n: Native) -> None:
    single = n.number("axis", -1)
    axes = [single] if "arg" in n.op else n.numbers("axes")
    n.emit(REDUCTIONS[n.op], n.given("x"), axes=axes, keep=n.flag("keep_dims"))


@lowers("cumsum")
def cumsum(n: Native) -> None:
    n.emit("cumsum", n.given("x"), axis=n.number("axis", 0))


@lowers("argsort")
def argsort(n: Native) -> None:
    n.emit("sort", n.given("x"), axis=n.number("axis", -1))


@lowers("topk")
def topk(n: Native) -> None:
    n.movement("top_k", n.given("x"), axis=n.number("axis", -1), k=n.number("k", 1))


@lowers("non_maximum_suppression")
def nms(n: Native) -> None:
    """Results: boxes, scores, places and their number, padded to `max_boxes`."""
    kept = n.number("max_boxes")
    n.movement("nms", n.given("boxes"), n.given("scores"), kept=kept, padded=None)


@lowers("non_zero")
def non_zero(n: Native) -> None:
    n.emit("nonzero", n.given("x"), rows=True)


@lowers("classify")
def classify(n: Native) -> None:
    """The likeliest class, and a dictionary of all."""
    scores = n.given("probabilities")
    best = n.emit("argmax", scores, part="best", axes=None, keep=False)
    n.emit("identity", best, to=n.outputs[:1])
    n.emit("identity", scores, to=n.outputs[1:])
