"""Operators on integers with a range: each has the ends of its range as further outputs."""

from __future__ import annotations

from flopwise.frontends.mxnet.layers import (
    activation,
    batch_norm,
    convolution,
    fully_connected,
    pooling,
)
from flopwise.frontends.mxnet.lowering import Emit, native
from flopwise.frontends.mxnet.symbol import Symbol
from flopwise.frontends.mxnet.tensors import concat as real_concat
from flopwise.frontends.mxnet.tensors import flatten as real_flatten
from flopwise.graph import Tensor

Operands = list[Tensor]
RANGE = tuple(range(1, 9))  # the places of ranges, behind the one operand

native("quantized_pooling", unused=RANGE)(pooling)
native("quantized_act", unused=RANGE)(activation)
native("quantized_flatten", unused=RANGE)(real_flatten)


@native("quantize", "quantize_v2", unused=RANGE)
def quantize(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("quantize", x[0], like=0, dtype="uint8" if s.text("out_type") == "uint8" else "int8")


@native("dequantize", unused=RANGE)
def dequantize(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("dequantize", x[0], like=0, dtype="float32")


@native("requantize", unused=RANGE)
def requantize(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("quantize", x[0], like=0, dtype="int8")


native("quantized_conv", least=2, weights=(1, 2))(convolution)
native("quantized_fully_connected", least=2, weights=(1, 2))(fully_connected)
native("quantized_batch_norm", least=5, weights=(1, 2), buffers=(3, 4))(batch_norm)


@native("quantized_elemwise_add", least=2)
def add(emit: Emit, s: Symbol, x: Operands) -> None:
    emit("add", *x[:2])


@native("quantized_concat")
def concat(emit: Emit, s: Symbol, x: Operands) -> None:
    """Operands, then the range of each."""
    real_concat(emit, s, x[: len(x) // 3])
