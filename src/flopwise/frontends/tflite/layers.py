"""Arithmetic of TFLite: convolutions and products, pooling, normalisation, pointwise.

Channels come last. A convolution's filters are f *k g (regular), 1 *k f (depthwise),
g *k c (transposed), *k g f and *k g c (3-d).
"""

from __future__ import annotations

from typing import Any

from flopwise.frontends.lowering import floor_div, meaning
from flopwise.frontends.tflite.native import LOWERINGS, Native, lowers, same_meaning

POOL = "n *x c -> n *y c"

same_meaning({
    "ADD": "add", "SUB": "sub", "MUL": "mul", "DIV": "div", "ADD_N": "add", "POW": "pow",
    "MAXIMUM": "max", "MINIMUM": "min", "FLOOR_MOD": "mod", "ATAN2": "atan2", "FLOOR": "floor",
    "CEIL": "ceil", "ROUND": "round", "LOGISTIC": "sigmoid", "TANH": "tanh", "RELU": "relu",
    "RELU_N1_TO_1": "hard_tanh", "RELU6": "relu6", "RELU_0_TO_1": "clip", "ELU": "elu",
    "LEAKY_RELU": "leaky_relu", "PRELU": "prelu", "HARD_SWISH": "hard_swish", "EXP": "exp",
    "LOG": "log", "SQRT": "sqrt", "RSQRT": "rsqrt", "SQUARE": "square", "NEG": "neg", "ABS": "abs",
    "SIGN": "sign", "SIN": "sin", "COS": "cos", "LESS": "less", "LESS_EQUAL": "less_equal",
    "GREATER": "greater", "GREATER_EQUAL": "greater_equal", "EQUAL": "equal",
    "NOT_EQUAL": "not_equal", "LOGICAL_AND": "and", "LOGICAL_OR": "or", "LOGICAL_NOT": "not",
    "BITWISE_XOR": "bitwise_xor", "RIGHT_SHIFT": "shift", "SELECT": "where", "SELECT_V2": "where",
    "QUANTIZE": "quantize", "STABLEHLO_LOGISTIC": "sigmoid", "STABLEHLO_ADD": "add",
    "STABLEHLO_DIVIDE": "div", "STABLEHLO_MULTIPLY": "mul", "STABLEHLO_MAXIMUM": "max",
    "STABLEHLO_MINIMUM": "min", "STABLEHLO_ABS": "abs", "STABLEHLO_AND": "and",
    "STABLEHLO_COSINE": "cos", "STABLEHLO_EXPONENTIAL": "exp", "STABLEHLO_FLOOR": "floor",
    "STABLEHLO_LOG": "log", "STABLEHLO_NEGATE": "neg", "STABLEHLO_OR": "or",
    "STABLEHLO_POWER": "pow", "STABLEHLO_REMAINDER": "mod", "STABLEHLO_RSQRT": "rsqrt",
    "STABLEHLO_SELECT": "where", "STABLEHLO_SUBTRACT": "sub", "STABLEHLO_TANH": "tanh",
    "STABLEHLO_COMPARE": "equal",
})  # fmt: skip


@lowers("FLOOR_DIV")
def rounded_down(n: Native) -> None:
    floor_div(n, n.given(0), n.given(1))


@lowers("SQUARED_DIFFERENCE")
def squared_difference(n: Native) -> None:
    n.emit("square", n.emit("sub", *n.inputs, part="sub"))


@lowers("GELU")
def gelu(n: Native) -> None:
    n.emit("gelu_tanh" if n.option("approximate") else "gelu", n.given(0))


@lowers("DEQUANTIZE")
def dequantize(n: Native) -> None:
    """Half-precision weights are merely converted."""
    n.emit("cast" if "float" in n.given(0).dtype else "dequantize", n.given(0))


@lowers("FAKE_QUANT")
def fake_quant(n: Native) -> None:
    n.emit("dequantize", n.emit("quantize", n.given(0), part="quantize"))


@lowers("COMPLEX_ABS")
def complex_abs(n: Native) -> None:
    """sqrt(re² + im²)"""
    x = n.given(0)
    parts = [n.emit("square", x, part=p) for p in ("real", "imaginary")]
    n.emit("sqrt", n.emit("add", *parts, part="sum"))


@lowers("CUMSUM")
def cumsum(n: Native) -> None:
    axis = n.values(1)
    n.emit("cumsum", n.given(0), axis=axis[0] if axis else 0)


def same(n: Native) -> Any:
    """Padding SAME or VALID."""
    return "same" if n.option("padding") == 0 else 0


def spatial(n: Native, name: str, axes: str = "hw") -> tuple[int, ...]:
    """An option of every axis, at least 1."""
    return tuple(max(n.option(f"{name}_{axis}"), 1) for axis in axes)


@lowers("CONV_2D")
def conv(n: Native) -> None:
    g = n.stated(1)[-1]
    n.emit(
        "conv", *n.inputs[:3], pattern="n *x c, weight: f *k g, bias?: f -> n *y f",
        groups=n.stated(0)[-1] // g, **window(n),
    )  # fmt: skip


def window(n: Native, axes: str = "hw") -> dict[str, Any]:
    dilation = spatial(n, "dilation", axes)
    return {"stride": spatial(n, "stride", axes), "pad": same(n), "dilation": dilation}


@lowers("DEPTHWISE_CONV_2D")
def depthwise(n: Native) -> None:
    n.emit(
        "conv", *n.inputs[:3], pattern="n *x c, weight: _ *k f, bias?: f -> n *y f", g=1,
        groups=n.stated(0)[-1], **window(n),
    )  # fmt: skip


@lowers("CONV_3D")
def conv_3d(n: Native) -> None:
    n.emit(
        "conv", *n.inputs[:3], pattern="n *x c, weight: *k g f, bias?: f -> n *y f",
        groups=n.stated(0)[-1] // n.stated(1)[-2], **window(n, "dhw"),
    )  # fmt: skip


@lowers("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE")
def conv_transpose(n: Native) -> None:
    """Operands: the shape of the result, filters, data. The shape settles the padding."""
    flat = n.op == "TRANSPOSE_CONV"
    filters, stride = n.stated(1), spatial(n, "stride", "hw" if flat else "dhw")
    k, f = (filters[1:-1], filters[0]) if flat else (filters[:-2], filters[-2])
    data, result = n.stated(2)[1:-1], n.result(0)[1:-1]
    full = ((a - 1) * s + t for a, s, t in zip(data, stride, k))
    n.emit(
        "conv_transpose", n.given(2), n.given(1), n.input(3), f=f, stride=stride,
        pad=tuple((0, size - y) for size, y in zip(full, result)),
        pattern=f"n *x c, weight: {'g *k c' if flat else '*k g c'}, bias?: f -> n *y f",
    )  # fmt: skip


@lowers("FULLY_CONNECTED")
def fully_connected(n: Native) -> None:
    """All axes but those of the weights' rows are joined, unless they are to be kept."""
    x, inner = n.given(0), n.stated(1)[-1]
    if len(n.stated(0)) != 2 and not n.option("keep_num_dims"):
        x = n.emit("reshape", x, part="rows", shape=(-1, inner))
    n.emit("linear", x, n.given(1), n.input(2), o=n.stated(1)[0])


@lowers("BATCH_MATMUL")
def batch_matmul(n: Native) -> None:
    a = "k m" if n.option("adj_x") else "m k"
    b = "n k" if n.option("adj_y") else "k n"
    n.emit("matmul", *n.inputs, pattern=f"*p {a}, *q {b} -> *b m n")


@lowers("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")
def pool(n: Native) -> None:
    op = {"AVERAGE_POOL_2D": "avg_pool", "MAX_POOL_2D": "max_pool", "L2_POOL_2D": "lp_pool"}[n.op]
    k = n.option("filter_height"), n.option("filter_width")
    n.emit(op, n.given(0), k=k, stride=spatial(n, "stride"), pad=same(n), pattern=POOL)


@lowers("LOCAL_RESPONSE_NORMALIZATION")
def lrn(n: Native) -> None:
    n.emit("lrn", n.given(0), size=2 * n.option("radius") + 1, pattern="n *x c -> n *x c")


@lowers("L2_NORMALIZATION")
def l2_normalization(n: Native) -> None:
    n.emit("l2_norm", n.given(0))


@lowers("SOFTMAX", "LOG_SOFTMAX")
def softmax(n: Native) -> None:
    n.emit(n.op.lower(), n.given(0), axis=-1)


@lowers("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def resize(n: Native) -> None:
    mode, size = "bilinear" if n.op == "RESIZE_BILINEAR" else "nearest", n.values(1)
    if size is None:  # computed: it stands where ONNX has the sizes
        n.emit("resize", n.given(0), None, None, n.given(1), mode=mode, axes=(1, 2))
    else:
        n.emit("resize", n.given(0), mode=mode, axes=(1, 2), size=tuple(size))


REDUCTIONS = {
    "MEAN": "reduce_mean", "SUM": "reduce_sum", "REDUCE_PROD": "reduce_prod",
    "REDUCE_MAX": "reduce_max", "REDUCE_MIN": "reduce_min", "REDUCE_ANY": "reduce_any",
    "REDUCE_ALL": "reduce_all", "ARG_MAX": "argmax", "ARG_MIN": "argmin",
}  # fmt: skip


@lowers(*REDUCTIONS)
def reduce(n: Native) -> None:
    keep = bool(n.option("keep_dims"))
    n.movement(REDUCTIONS[n.op], n.given(0), axes=n.values(1), keep=keep)


@lowers("EMBEDDING_LOOKUP")
def embedding(n: Native) -> None:
    n.emit("gather", n.given(1), n.given(0), axis=0)


@lowers("TOPK_V2")
def top_k(n: Native) -> None:
    k = n.values(1)
    n.emit("top_k", *n.inputs, k=k[0] if k else None)


@lowers("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5")
def nms(n: Native) -> None:
    kept = n.values(2)
    n.emit("nms", *n.inputs[:2], columns=0, kept=kept[0] if kept else None)


@lowers("RFFT2D")
def rfft2d(n: Native) -> None:
    sizes = n.values(1)
    n.emit("fft", n.given(0), axes=(-2, -1), kind="real", sizes=tuple(sizes) if sizes else None)


@lowers("SEGMENT_SUM", "UNSORTED_SEGMENT_SUM", "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX",
        "UNSORTED_SEGMENT_MIN")  # fmt: skip
def segments(n: Native) -> None:
    """Slices combined into as many as there are segments."""
    kind = n.op.rpartition("_")[2].lower().replace("sum", "add").replace("prod", "mul")
    if n.open:
        n.unknown()  # the number of segments is data
        return
    dtype = n.given(0).dtype
    start = n.emit("constant_of_shape", part="start", shape=n.result(0), dtype=dtype)
    n.emit("scatter_nd", start, n.given(1), n.given(0), reduction=kind)


LOWERINGS["DENSIFY"] = meaning("copy", 1)
