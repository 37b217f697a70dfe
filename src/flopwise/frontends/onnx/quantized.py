"""Quantised operators of ai.onnx: integers with a scale and a zero point."""

from __future__ import annotations

from dataclasses import replace

from flopwise.frontends.onnx.layers import window
from flopwise.frontends.onnx.native import Native, lowers
from flopwise.graph import Tensor


def learned(tensor: Tensor) -> Tensor:
    """A stored integer tensor where weights stand is a weight."""
    return replace(tensor, role="weight") if tensor.role == "constant" else tensor


def centred(n: Native, tensor: Tensor, zero: Tensor | None, part: str) -> Tensor:
    """The tensor less its zero point, unless that is known to be 0."""
    if zero is None or (zero.value is not None and not any(zero.value.ravel())):
        return tensor
    return n.emit("sub", tensor, zero, part=part, like=0, dtype="int32")


@lowers("QuantizeLinear")
def quantize(n: Native) -> None:
    """The type is that of the zero point, else as an attribute says, else uint8."""
    zero = n.input(2)
    dtype = (zero.dtype if zero is not None else n.dtype("output_dtype")) or "uint8"
    made = n.emit("quantize", *n.inputs, like=0, dtype=dtype)
    n.block.model.integers[made.name] = dtype


@lowers("DequantizeLinear")
def dequantize(n: Native) -> None:
    x, scale = n.given(0), n.given(1)
    dtype = scale.dtype or "float32"
    made = n.emit("dequantize", learned(x), *n.inputs[1:], like=0, dtype=dtype)
    integers = n.block.model.integers
    if (held := integers.get(x.name, x.dtype)) and "int" in held:
        integers[made.name] = held


@lowers("DynamicQuantizeLinear")
def dynamic_quantize(n: Native) -> None:
    n.emit("dynamic_quantize", n.given(0), dtype=("uint8", "float32", "uint8"))


@lowers("ConvInteger")
def conv_integer(n: Native) -> None:
    x = centred(n, n.given(0), n.input(2), "data")
    weight = centred(n, learned(n.given(1)), n.input(3), "weight")
    n.emit("conv", x, weight, groups=n.integer("group", 1), dtype="int32", **window(n))


@lowers("MatMulInteger")
def matmul_integer(n: Native) -> None:
    a = centred(n, n.given(0), aligned(n, n.input(2), "a_zero"), "a")
    b = centred(n, learned(n.given(1)), n.input(3), "b")
    n.emit("matmul", a, b, dtype="int32")


def aligned(n: Native, zero: Tensor | None, part: str) -> Tensor | None:
    """A zero point per row lies along the last axis but one."""
    if zero is None or zero.shape is None or len(zero.shape) != 1 or zero.shape == (1,):
        return zero
    return n.emit("unsqueeze", zero, part=part, axes=(1,))


@lowers("QLinearConv")
def qlinear_conv(n: Native, pattern: str | None = None) -> None:
    """Data, weight and result, each with scale and zero point; then the bias."""
    x = centred(n, n.given(0), n.input(2), "data")
    weight = centred(n, learned(n.given(3)), n.input(5), "weight")
    bias = n.input(8)
    attrs = {"groups": n.integer("group", 1), "pattern": pattern, **window(n)}
    product = n.emit("conv", x, weight, bias and learned(bias), part="conv", dtype="int32", **attrs)
    requantize(n, product, n.given(6), n.input(7))


@lowers("QLinearMatMul")
def qlinear_matmul(n: Native) -> None:
    a = centred(n, n.given(0), aligned(n, n.input(2), "a_zero"), "a")
    b = centred(n, learned(n.given(3)), n.input(5), "b")
    requantize(n, n.emit("matmul", a, b, part="matmul", dtype="int32"), n.given(6), n.input(7))


def requantize(n: Native, tensor: Tensor, scale: Tensor, zero: Tensor | None) -> None:
    """To the scale, zero point and type of the result."""
    dtype = zero.dtype if zero is not None and zero.dtype else "uint8"
    n.emit("quantize", tensor, scale, zero, like=0, dtype=dtype)
