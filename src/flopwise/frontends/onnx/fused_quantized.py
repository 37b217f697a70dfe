"""com.microsoft: quantised products and layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.onnx.fused import microsoft
from flopwise.frontends.onnx.layers import gemm_pattern, padding
from flopwise.frontends.onnx.native import Native
from flopwise.frontends.onnx.quantized import (
    centred,
    dequantize,
    learned,
    qlinear_conv,
    quantize,
    requantize,
)  # fmt: skip
from flopwise.graph import Tensor

microsoft("QuantizeLinear")(quantize)
microsoft("DequantizeLinear")(dequantize)


@microsoft("QLinearConv")
def nhwc_qlinear_conv(n: Native) -> None:
    last = "n *x c, weight: f g *k, bias?: f -> n *y f" if n.integer("channels_last") else None
    qlinear_conv(n, last)


def packed(n: Native, tensor: Tensor, dtype: str) -> Tensor:
    """A weight of N x K small numbers, by its logical shape."""
    rows, columns = n.integer("N"), n.integer("K")
    if rows < 1 or columns < 1:
        raise UnreadableModel(f"its matrix is {rows} x {columns}")
    return replace(learned(tensor), shape=(rows, columns), dtype=dtype, value=None)


@microsoft("MatMulNBits")
def matmul_bits(n: Native) -> None:
    """Operands: data, packed weight, scales, zero points, order of groups, bias. What unpacks
    the weight in registers is no part of the product."""
    weight = packed(n, n.given(1), f"uint{n.integer('bits', 4)}")
    extra = [t and learned(t) for t in (n.input(2), n.input(3))]
    n.emit("linear", n.given(0), weight, n.input(5), *extra)


@microsoft("MatMulBnb4")
def matmul_bnb(n: Native) -> None:
    """bitsandbytes' 4-bit floats, in blocks that share a scale."""
    dtype = "nf4" if n.integer("quant_type", 1) == 1 else "float4"
    n.emit("linear", n.given(0), packed(n, n.given(1), dtype), None, n.input(2))


@microsoft("MatMulFpQ4")
def matmul_q4(n: Native) -> None:
    """The third operand holds the shape of the weight."""
    shape = n.given(2).value
    if shape is None:
        raise UnreadableModel("the shape of its weight is no constant")
    size = tuple(shape.ravel().tolist())
    weight = replace(learned(n.given(1)), shape=size, dtype="uint4", value=None)
    n.emit("matmul", n.given(0), weight)


@microsoft("MatMulNBitsQkv")
def bits_qkv(n: Native) -> None:
    """A norm, then three products. Operands: data, skip, weight of the norm, then packed
    weight, scales and bias of each."""
    x = normed(n, 2)
    for i, rows in enumerate(("Nq", "Nkv", "Nkv")):
        product(n, x, 3 + 3 * i, n.integer(rows), n.outputs[i : i + 1])


@microsoft("MatMulNBitsMlp")
def bits_mlp(n: Native) -> None:
    """A norm where there is one, two products, an activation of the first times the second."""
    x, rows = normed(n, 2), n.integer("N")
    gate = product(n, x, 3, rows, None, "gate")
    up = product(n, x, 6, rows, None, "up")
    n.emit("mul", n.emit("silu", gate, part="silu"), up, outputs=n.outputs[:1])


def normed(n: Native, weight: int) -> Tensor:
    x, skip, scale = n.given(0), n.input(1), n.input(weight)
    if skip is not None:
        wanted = [o for o in n.outputs[-1:] if len(n.outputs) in (2, 4)]
        terms = (x, skip)
        x = n.emit("add", *terms, outputs=wanted) if wanted else n.emit("add", *terms, part="sum")
    return x if scale is None else n.emit("rms_norm", x, scale, part="norm")


def product(
    n: Native, x: Tensor, place: int, rows: int, outputs: list[str] | None, part: str = ""
) -> Tensor:
    packed_weight, bits = n.given(place), n.integer("bits", 4)
    shape = (rows, n.integer("K"))
    weight = replace(learned(packed_weight), shape=shape, dtype=f"uint{bits}", value=None)
    operands = (x, weight, n.input(place + 2), n.input(place + 1))
    return n.emit("linear", *operands, part=part, outputs=outputs)


@microsoft("MatMulInteger16")
def matmul_integer16(n: Native) -> None:
    n.emit("matmul", n.given(0), learned(n.given(1)), dtype="int32")


@microsoft("DynamicQuantizeMatMul")
def dynamic_matmul(n: Native) -> None:
    """Operands: data, which is quantised on the way, weight, its scale, zero point, bias."""
    dtypes = ("uint8", "float32", "uint8")
    parts = n.parts("dynamic_quantize", n.given(0), part="quantize", results=3, dtype=dtypes)
    weight = centred(n, learned(n.given(1)), n.input(3), "weight")
    y = n.emit("matmul", parts[0], weight, part="matmul", dtype="int32")
    scaled(n, y, n.given(2), n.input(4))


@microsoft("MatMulIntegerToFloat")
def matmul_to_float(n: Native) -> None:
    """Operands: A, B, two scales, two zero points, bias."""
    a = centred(n, n.given(0), n.input(4), "a")
    b = centred(n, learned(n.given(1)), n.input(5), "b")
    scaled(n, n.emit("matmul", a, b, part="matmul", dtype="int32"), n.given(3), n.input(6))


def scaled(n: Native, y: Tensor, scale: Tensor, bias: Tensor | None) -> None:
    """Back to floats, and the bias."""
    if bias is None:
        n.emit("mul", y, scale, dtype="float32")
    else:
        n.emit("add", n.emit("mul", y, scale, part="scale", dtype="float32"), bias)


@microsoft("QGemm")
def quantized_gemm(n: Native) -> None:
    """Operands: A, B, each with scale and zero point, C, then scale and zero point of Y."""
    a = centred(n, n.given(0), n.input(2), "a")
    b = centred(n, learned(n.given(3)), n.input(5), "b")
    bias = n.input(6)
    attrs: dict[str, Any] = {"pattern": gemm_pattern(n), "dtype": "int32"}
    y = n.emit("linear", a, b, bias and learned(bias), part="linear", **attrs)
    if n.input(7) is None:
        scaled(n, y, n.given(4), None)
    else:
        requantize(n, y, n.given(7), n.input(8))


def floated(n: Native, place: int, part: str) -> Tensor:
    """A quantised operand with its scale and zero point behind it, as floats."""
    x, zero = n.given(place), n.input(place + 2)
    return n.emit("dequantize", learned(x), n.given(place + 1), zero, part=part, like=0,
                  dtype="float32")  # fmt: skip


@microsoft("QLinearAdd", "QLinearMul")
def quantized_pointwise(n: Native) -> None:
    op = n.op.removeprefix("QLinear").lower()
    y = n.emit(op, floated(n, 0, "a"), floated(n, 3, "b"), part=op)
    requantize(n, y, n.given(6), n.input(7))


@microsoft("QLinearSigmoid", "QLinearLeakyRelu")
def quantized_activation(n: Native) -> None:
    op = {"QLinearSigmoid": "sigmoid", "QLinearLeakyRelu": "leaky_relu"}[n.op]
    requantize(n, n.emit(op, floated(n, 0, "x"), part=op), n.given(3), n.input(4))


@microsoft("QLinearSoftmax")
def quantized_softmax(n: Native) -> None:
    old = n.integer("opset", 13) < 13
    axis = n.integer("axis", 1 if old else -1)
    y = n.emit("softmax", floated(n, 0, "x"), part="softmax", axis=axis, onward=old or None)
    requantize(n, y, n.given(3), n.input(4))


@microsoft("QLinearAveragePool", "QLinearGlobalAveragePool")
def quantized_pool(n: Native) -> None:
    last = bool(n.integer("channels_last"))
    x = floated(n, 0, "x")
    if n.op == "QLinearGlobalAveragePool":
        x = n.emit("transpose", x, part="first", pattern="n *x c -> n c *x") if last else x
        y = n.emit("global_avg_pool", x, part="pool")
        y = n.emit("transpose", y, part="last", pattern="n c *x -> n *x c") if last else y
    else:
        attrs: dict[str, Any] = {
            "pattern": "n *x c -> n *y c" if last else None, "k": n.integers("kernel_shape"),
            "stride": n.integers("strides") or 1, "pad": padding(n),
            "ceil": bool(n.integer("ceil_mode")),
        }  # fmt: skip
        y = n.emit("avg_pool", x, part="pool", **attrs)
    requantize(n, y, n.given(3), n.input(4))


@microsoft("QLinearReduceMean")
def quantized_mean(n: Native) -> None:
    keep = n.integer("keepdims", 1) == 1
    x = floated(n, 0, "x")
    y = n.emit("reduce_mean", x, part="mean", axes=n.integers("axes"), keep=keep)
    requantize(n, y, n.given(3), n.input(4))


@microsoft("QLinearConcat")
def quantized_concat(n: Native) -> None:
    """Scale and zero point of the result, then three operands for each part."""
    parts = [floated(n, i, f"x.{i}") for i in range(2, len(n.inputs), 3)]
    y = n.emit("concat", *parts, part="concat", axis=n.integer("axis"))
    requantize(n, y, n.given(0), n.input(1))


@microsoft("QLinearWhere")
def quantized_where(n: Native) -> None:
    y = n.emit("where", n.given(0), floated(n, 1, "x"), floated(n, 4, "y"), part="where")
    requantize(n, y, n.given(7), n.input(8))


@microsoft("DynamicQuantizeLSTM")
def dynamic_lstm(n: Native) -> None:
    from flopwise.frontends.onnx.recurrent import recurrent

    n.inputs[1:3] = [learned(n.given(1)), learned(n.given(2))]
    recurrent(n, "lstm", n.inputs[:8], "W: d i g, R: d h g")


@microsoft("MulInteger")
def mul_integer(n: Native) -> None:
    """Operands: a, its zero point, b, its zero point."""
    sides = (
        centred(n, learned(n.given(i)), n.input(i + 1), part) for i, part in ((0, "a"), (2, "b"))
    )
    n.emit("mul", *sides, dtype="int32")


@microsoft("ReduceSumInteger")
def reduce_sum_integer(n: Native) -> None:
    axes, keep = n.integers("axes"), bool(n.integer("keepdims", 1))
    n.emit("reduce_sum", n.given(0), axes=axes, keep=keep, dtype="int32")
