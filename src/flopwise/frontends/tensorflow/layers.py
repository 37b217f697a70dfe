"""Contractions, pooling, normalisation and resizing of TensorFlow.

A filter is *k g f, a depthwise one *k c m, one of a transposed convolution *k g c.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flopwise.frontends.tensorflow.native import Native, lowers
from flopwise.frontends.tensorflow.pointwise import ACTIVATIONS
from flopwise.graph import Tensor


def layout(n: Native, space: str = "x", channels: str = "c") -> str:
    return f"n {channels} *{space}" if n.first else f"n *{space} {channels}"


def spatial(n: Native, sizes: Any) -> tuple[Any, ...]:
    """What concerns space of a list of all axes. Raises NotImplementedError where windows
    reach over the batch or the channels."""
    rest = (sizes[0], sizes[1 if n.first else -1])
    if rest != (1, 1):
        raise NotImplementedError
    return tuple(sizes[2:] if n.first else sizes[1:-1])


def padding(n: Native) -> Any:
    """SAME and VALID; EXPLICIT lists both edges of all axes."""
    kind, flat = n.text("padding"), n.integers("explicit_paddings")
    if kind == "EXPLICIT":
        edges = [*zip(flat[::2], flat[1::2])]
        return tuple(edges[2:] if n.first else edges[1:-1])
    return "same" if kind == "SAME" else 0


def window(n: Native) -> dict[str, Any]:
    """Stride, padding and dilation."""
    stride, dilation = spatial(n, n.integers("strides")), n.integers("dilations")
    return {"stride": stride, "pad": padding(n),
            "dilation": spatial(n, dilation) if dilation else 1}  # fmt: skip


@lowers("Conv2D", "Conv3D")
def conv(n: Native) -> None:
    """As many groups as the filters leave channels for."""
    pattern = f"{layout(n)}, weight: *k g f, bias?: f -> {layout(n, 'y', 'f')}"
    n.emit("conv", n.given(0), n.given(1), None, pattern=pattern, groups="weight", **window(n))


@lowers("DepthwiseConv2dNative")
def depthwise(n: Native) -> None:
    pattern = f"{layout(n)}, weight: *k c m, bias?: f -> {layout(n, 'y', 'f')}"
    n.emit("conv", n.given(0), n.given(1), None, pattern=pattern, g=1, multiplier=0, **window(n))


@lowers("Conv2DBackpropInput", "Conv3DBackpropInputV2")
def conv_transpose(n: Native) -> None:
    """Operands: the shape of the result, filters, data. Where the shape is computed, the
    result is as Keras makes it: all that the windows reach, gaps of the stride included."""
    attrs = window(n)
    rank = len(attrs["stride"])
    sizes = n.elements(0, rank + 2)
    y = tuple(sizes[2:] if n.first else sizes[1:-1])
    if all(isinstance(s, int) for s in y):
        attrs |= {"y": y, "pad": 0}  # which of the sizes that SAME leaves possible
    elif attrs["pad"] != "same" and n.given(1).known:
        k = n.given(1).sizes[:rank]
        attrs["output_pad"] = tuple(max(s - t, 0) for s, t in zip(attrs["stride"], k))
    pattern = f"{layout(n)}, weight: *k g c, bias?: f -> {layout(n, 'y', 'f')}"
    f = n.given(1).sizes[-2] if n.given(1).known else None
    n.emit("conv_transpose", n.given(2), n.given(1), None, pattern=pattern, f=f, **attrs)


@lowers("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def matmul(n: Native, bias: Tensor | None = None, part: str = "") -> Tensor:
    """Either operand may be turned; with a weight it is a linear layer."""
    single = n.op in ("MatMul", "_FusedMatMul")
    a, b = (
        n.flag("transpose_a" if single else "adj_x"),
        n.flag("transpose_b" if single else "adj_y"),
    )
    x, w = n.given(0), n.given(1)
    if w.role == "weight" and len(w.shape or ()) == 2 and not a:
        pattern = f"*n i, weight: {'o i' if b else 'i o'}, bias?: o -> *n o"
        return n.emit("linear", x, w, bias, part=part, pattern=pattern)
    pattern = f"*p {'k m' if a else 'm k'}, *q {'n k' if b else 'k n'} -> *b m n"
    y = n.emit("matmul", x, w, part=part if bias is None else "matmul", pattern=pattern)
    return y if bias is None else n.emit("add", y, bias, part=part)


@lowers("Einsum")
def einsum(n: Native) -> None:
    n.emit("einsum", *n.inputs, equation=n.text("equation"))


@lowers("_FusedConv2D", "_FusedDepthwiseConv2dNative", "_FusedMatMul")
def fused(n: Native) -> None:
    """A product, then what `fused_ops` lists."""
    steps = n.texts("fused_ops")
    if any(s not in ("BiasAdd", "Add") and ACTIVATIONS.get(s) is None for s in steps):
        n.unknown()
        return
    more, bias = [*n.inputs[2:]], None
    if steps[:1] == ["BiasAdd"]:
        steps, bias = steps[1:], more.pop(0)
    part = "product" if steps else ""
    if n.op == "_FusedMatMul":
        y = matmul(n, bias, part)
    else:
        deep = n.op == "_FusedDepthwiseConv2dNative"
        pattern = (
            f"{layout(n)}, weight: *k {'c m' if deep else 'g f'}, bias?: f -> {layout(n, 'y', 'f')}"
        )
        attrs: dict[str, Any] = {"g": 1, "multiplier": 0} if deep else {"groups": "weight"}
        operands = n.given(0), n.given(1), bias
        y = n.emit("conv", *operands, part=part, pattern=pattern, **attrs, **window(n))
    for i, step in enumerate(steps):
        part = "" if i + 1 == len(steps) else step
        others = [more.pop(0)] if step == "Add" else []
        y = n.emit({"Add": "add", **ACTIVATIONS}[step], y, *others, part=part)


@lowers("BiasAdd", "BiasAddV1")
def bias_add(n: Native) -> None:
    n.emit("add", *n.inputs, like=0)


POOLS = {"MaxPool": "max_pool", "AvgPool": "avg_pool"}


@lowers("MaxPool", "MaxPool3D", "AvgPool", "AvgPool3D")
def pool(n: Native) -> None:
    pattern = f"{layout(n)} -> {layout(n, 'y')}"
    k, stride = spatial(n, n.integers("ksize")), spatial(n, n.integers("strides"))
    op = POOLS[n.op.removesuffix("3D")]
    n.emit(op, n.given(0), k=k, stride=stride, pad=padding(n), pattern=pattern)


@lowers("MaxPoolWithArgmax")
def max_pool_places(n: Native) -> None:
    pattern = "n *x c -> n *y c, n *y c"
    k, stride = spatial(n, n.integers("ksize")), spatial(n, n.integers("strides"))
    n.emit("max_pool", n.given(0), k=k, stride=stride, pad=padding(n), pattern=pattern,
           results=2, dtype=("", n.dtype("Targmax") or "int64"))  # fmt: skip


@lowers("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "_FusedBatchNormEx")
def batch_norm(n: Native) -> None:
    """Operands: data, scale, offset, mean, variance. Results beyond the first are the
    statistics; statistics of the batch are not learned, nor are running ones."""
    x, scale, offset, *statistics = n.inputs[:5]
    mean, variance = (replace(t, trainable=False) for t in statistics)
    act = ACTIVATIONS.get(n.text("activation_mode", "Identity"))
    if n.op == "_FusedBatchNormEx" and (act is None or len(n.inputs) > 5):
        n.unknown()
        return
    if n.attrs.get("is_training", {"b": 1}).get("b"):
        pattern = f"{layout(n)}, weight?: c, bias?: c -> {layout(n)}, c, c, c, c"
        n.emit("batch_norm_train", x, scale, offset, results=6, pattern=pattern)
        return
    pattern = f"{layout(n)}, mean: c, variance: c, weight?: c, bias?: c -> {layout(n)}"
    n.activated(None if act in (None, "identity") else act,
                "batch_norm", x, mean, variance, scale, offset, pattern=pattern)  # fmt: skip
    (y,) = n.block.values[n.label]
    n.give(y, mean, variance, mean, variance, mean)


@lowers("LRN")
def lrn(n: Native) -> None:
    size = 2 * n.integer("depth_radius", 5) + 1
    n.emit("lrn", n.given(0), size=size, pattern="n *x c -> n *x c")


@lowers("Softmax", "LogSoftmax")
def softmax(n: Native) -> None:
    n.emit("softmax" if n.op == "Softmax" else "log_softmax", n.given(0), axis=-1)


MODES = {
    "ResizeBilinear": "linear", "ResizeNearestNeighbor": "nearest", "ResizeBicubic": "cubic",
    "ResizeArea": "area",
}  # fmt: skip


@lowers(*MODES)
def resize(n: Native) -> None:
    """The size stands where ONNX has it."""
    dtype = n.given(0).dtype if n.op == "ResizeNearestNeighbor" else "float32"
    operands = n.given(0), None, None, n.given(1)
    n.emit("resize", *operands, mode=MODES[n.op], axes=(1, 2), dtype=dtype)
