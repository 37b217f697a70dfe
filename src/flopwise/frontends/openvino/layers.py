"""Convolutions, products, pooling, normalisation and attention of OpenVINO.

https://docs.openvino.ai/2025/documentation/openvino-ir-format/operation-sets/operation-specs.html
"""

from __future__ import annotations

from math import prod
from typing import Any

from flopwise.frontends.openvino.native import Native, lowers


def padding(n: Native) -> Any:
    """Explicit pads, or a rule."""
    rule = n.text("auto_pad", "explicit").lower()
    if rule.startswith("same"):
        return "same"
    if rule == "valid":
        return 0
    return tuple(zip(n.integers("pads_begin"), n.integers("pads_end"))) or 0


def window(n: Native) -> dict[str, Any]:
    return {
        "stride": n.integers("strides") or 1, "pad": padding(n),
        "dilation": n.integers("dilations") or 1,
    }  # fmt: skip


@lowers("Convolution")
def convolution(n: Native) -> None:
    n.emit("conv", *n.inputs, **window(n))


@lowers("GroupConvolution")
def group_convolution(n: Native) -> None:
    """Filters are groups x outputs x inputs x window."""
    groups, outputs = n.stated(1)[:2]
    n.emit(
        "conv", *n.inputs, pattern="n c *x, weight: _ _ g *k -> n f *y", f=groups * outputs,
        groups=groups, bias=0, **window(n),
    )  # fmt: skip


@lowers("ConvolutionBackpropData", "GroupConvolutionBackpropData")
def transposed(n: Native) -> None:
    """A third operand is the size of the result, which settles the padding."""
    grouped = n.kind.startswith("Group")
    filters = n.stated(1)
    groups = filters[0] if grouped else 1
    attrs = {**window(n), "output_pad": n.integers("output_padding") or 0}
    if size := n.values(2):
        attrs |= {"y": tuple(size[-(len(filters) - 2 - grouped) :]), "pad": 0}
    n.emit(
        "conv_transpose", *n.inputs[:2], f=groups * filters[1 + grouped], groups=groups, bias=0,
        pattern=f"n c *x, weight: {'_ _' if grouped else 'c'} g *k -> n f *y", **attrs,
    )  # fmt: skip


@lowers("DeformableConvolution")
def deformable(n: Native) -> None:
    """Operands: data, offsets, filters and, where it is modulated, a mask."""
    mask = n.input(3)
    n.emit(
        "deform_conv", n.given(0), n.given(2), None, n.given(1), *([mask] if mask else []),
        groups=n.integer("group", 1), modulated=int(mask is not None), **window(n),
    )  # fmt: skip


@lowers("MatMul")
def matmul(n: Native) -> None:
    """Vectors are not transposed."""
    a, b = len(n.stated(0)), len(n.stated(1))
    left = "k" if a == 1 else "*p k m" if n.flag("transpose_a") else "*p m k"
    right = "k" if b == 1 else "*q n k" if n.flag("transpose_b") else "*q k n"
    rows, columns = " m" if a > 1 else "", " n" if b > 1 else ""
    n.emit("matmul", *n.inputs, pattern=f"{left}, {right} -> *b{rows}{columns}")


@lowers("Einsum")
def einsum(n: Native) -> None:
    n.emit("einsum", *n.inputs, equation=n.text("equation"))


@lowers("MaxPool", "AvgPool")
def pool(n: Native) -> None:
    """Both roundings up of OpenVINO; its own lets a last window begin in the padding."""
    rounding = n.text("rounding_type", "floor").lower()
    ceil = {"ceil": "full", "ceil_torch": True}.get(rounding, False)
    op = "max_pool" if n.kind == "MaxPool" else "avg_pool"
    n.emit(op, n.given(0), k=n.integers("kernel"), ceil=ceil, **window(n))


@lowers("AdaptiveAvgPool", "AdaptiveMaxPool")
def adaptive(n: Native) -> None:
    op = "adaptive_avg_pool" if n.kind == "AdaptiveAvgPool" else "adaptive_max_pool"
    size = n.values(1)
    n.movement(op, n.given(0), size=tuple(size) if size else None)


@lowers("BatchNormInference")
def batch_norm(n: Native) -> None:
    """The first operator set had the data third."""
    order = (2, 0, 1, 3, 4) if n.version < 5 else (0, 1, 2, 3, 4)
    x, weight, bias, mean, variance = (n.given(i) for i in order)
    n.emit("batch_norm", x, mean, variance, weight, bias)


@lowers("MVN")
def mvn(n: Native) -> None:
    if len(n.inputs) > 1:
        axes = n.values(1)
    else:
        axes = [*range(1 if n.flag("across_channels") else 2, len(n.stated(0)))]
    variance = n.flag("normalize_variance", True)
    n.movement("mean_variance_norm", n.given(0), axes=axes, variance=variance)


@lowers("NormalizeL2")
def normalize(n: Native) -> None:
    axes = n.values(1)
    n.movement("l2_norm", n.given(0), axes=tuple(axes) if axes is not None else None)


@lowers("GRN")
def grn(n: Native) -> None:
    n.emit("l2_norm", n.given(0), axes=(1,))


@lowers("LRN")
def lrn(n: Native) -> None:
    """Over neighbouring channels, or a window over other axes."""
    axes = n.values(1)
    n.emit("lrn", n.given(0), size=n.integer("size", 1) ** len(axes or (1,)))


@lowers("GroupNormalization")
def group_norm(n: Native) -> None:
    n.emit("group_norm", *n.inputs, groups=n.integer("num_groups", 1))


@lowers("RMS")
def rms_norm(n: Native) -> None:
    n.emit("rms_norm", *n.inputs)


@lowers("SoftMax", "Softmax", "LogSoftmax")
def softmax(n: Native) -> None:
    op = "log_softmax" if n.kind == "LogSoftmax" else "softmax"
    n.emit(op, n.given(0), axis=n.integer("axis", 1))


@lowers("ScaledDotProductAttention")
def attention(n: Native) -> None:
    """Operands: queries, keys, values, a mask (a scalar where there is none), a scale."""
    mask = n.input(3)
    if mask is not None and prod(n.stated(3)) <= 1:
        mask = None
    n.emit("attention", *n.inputs[:3], mask, causal=n.flag("causal"))
