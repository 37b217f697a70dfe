"""Convolutions, products, pooling and normalisation of ncnn.

Parameter numbers: https://github.com/Tencent/ncnn/blob/master/docs/developer-guide/operators.md
"""

from __future__ import annotations

from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.ncnn.native import LEFT_OPEN, Native, lowers
from flopwise.graph import Tensor

# numbers of the parameters for depth, height and width; an absent one is as the width has it
KERNEL, DILATION, STRIDE = (21, 11, 1), (22, 12, 2), (23, 13, 3)
BEFORE, AFTER = (24, 14, 4), (17, 16, 15)


def window(n: Native) -> dict[str, Any]:
    """Kernel, stride, padding and dilation of as many axes as the layer slides over."""
    axes = _axes(n)
    k, dilation, stride = (_each(n, ids[3 - axes :], 1) for ids in (KERNEL, DILATION, STRIDE))
    if n.integer(1) < 1:
        raise UnreadableModel("its kernel size is missing")
    return {"k": k, "dilation": dilation, "stride": stride, "pad": _padding(n, axes)}


def _axes(n: Native) -> int:
    return 1 if n.kind.endswith("1D") else 3 if n.kind.endswith("3D") else 2


def _each(n: Native, ids: tuple[int, ...], least: int) -> tuple[int, ...]:
    sizes = tuple(n.integer(i, n.integer(ids[-1], least)) for i in ids)
    if min(sizes) < least:
        raise UnreadableModel(f"parameter {ids[-1]} is {min(sizes)}")
    return sizes


def _padding(n: Native, axes: int) -> Any:
    """-233 and -234 stand for padding that keeps the size."""
    left = n.integer(BEFORE[-1])
    if left in (LEFT_OPEN, LEFT_OPEN - 1):
        return "same"
    before = [n.integer(i, left) for i in BEFORE[3 - axes :]]
    after = [n.integer(i, b) for i, b in zip(AFTER[3 - axes :], before)]
    after[-1] = n.integer(AFTER[-1], left)
    if min(before + after) < 0:
        raise UnreadableModel(f"a padding of {min(before + after)}")
    return tuple(zip(before, after))


def quantised(n: Native, x: Tensor, term: int) -> Tensor:
    """The data as 8-bit integers, where the layer computes on them."""
    if not term or x.dtype == "int8":
        return x
    scale = n.scales("bottom_scale", 1)
    return n.emit("quantize", x, scale, part="quantize", like=0, dtype="int8")


def restored(
    n: Native, op: str, operands: tuple[Tensor | None, ...], term: int, rank: int | None,
    **attrs: Any,
) -> None:  # fmt: skip
    """A product; of integers back to floats, activated, and past 100 to integers again."""
    if not term:
        n.activated(op, *operands, rank=rank, **attrs)
        return
    total = n.emit(op, *operands, part="int8", dtype="int32", **attrs)
    scale = n.scales("weight_scales", attrs.get("f", attrs.get("o", 1)))
    if term < 100:
        n.activated("dequantize", total, scale, rank=rank, like=0, dtype="float32")
        return
    y = n.emit("dequantize", total, scale, part="dequantize", like=0, dtype="float32")
    y = n.emit(n.activation, y, part="activation") if n.activation else y
    n.emit("quantize", y, n.scales("top_scale", 1), rank=rank, like=0, dtype="int8")


CONVOLUTIONS = tuple(f"Convolution{w}{d}" for w in ("", "DepthWise") for d in ("", "1D", "3D"))
DECONVOLUTIONS = tuple(f"Deconvolution{w}{d}" for w in ("", "DepthWise") for d in ("", "1D", "3D"))


@lowers(*CONVOLUTIONS)
def convolution(n: Native) -> None:
    if n.rank == 1 and n.kind == "Convolution" and n.integer(1) == n.integer(11, 1) == 1:
        dense(n, 5, 6)
        return
    _spatial(n)
    f, term, attrs = n.integer(0), n.integer(8), window(n)
    groups = n.integer(7, 1) if "DepthWise" in n.kind else 1
    if n.integer(19):
        pattern = "n c *x, weight: _ f g *k, bias?: _ f -> n f *y"
        n.activated("conv", *n.inputs, f=f, groups=groups, pattern=pattern, **attrs)
        return
    dtype = "int8" if term else "float32"
    weight = n.weight("weight", f, _share(n, f, attrs["k"]), *attrs["k"], dtype=dtype)
    bias = n.weight("bias", f) if n.integer(5) else None
    x = quantised(n, n.inputs[0], term)
    restored(n, "conv", (x, weight, bias), term, None, f=f, groups=groups, **attrs)


def _spatial(n: Native) -> None:
    if n.rank != _axes(n) + 1:
        raise UnreadableModel(
            f"it takes {_axes(n) + 1} axes and a batch in front of them,"
            f" '{n.inputs[0].name}' has {n.rank} and a batch"
        )


def _share(n: Native, f: int, k: tuple[int, ...]) -> int:
    """Input channels per filter: the size of the weights is a parameter."""
    taps = f
    for size in k:
        taps *= size
    if taps < 1 or n.integer(6) % taps or n.integer(6) < 1:
        raise UnreadableModel(f"{n.integer(6)} weights do not divide among {f} filters of {k}")
    return n.integer(6) // taps


@lowers(*DECONVOLUTIONS)
def deconvolution(n: Native) -> None:
    _spatial(n)
    f, attrs, axes = n.integer(0), window(n), _axes(n)
    groups = n.integer(7, 1) if "DepthWise" in n.kind else 1
    outputs = (20, 19, 18)[3 - axes :] if axes == 3 else (19, 18)[2 - axes :]
    attrs["output_pad"] = tuple(n.integer(i, n.integer(18)) for i in outputs)
    sizes = (27, 26, 25) if axes == 3 else (21, 20)[2 - axes :]
    if n.integer(sizes[-1]) > 0:
        attrs["y"] = tuple(n.integer(i, n.integer(sizes[-1])) for i in sizes)
        attrs["pad"] = 0  # what is cut off follows from the sizes
    if n.integer(28):
        pattern = "n c *x, weight: _ g c *k, bias?: _ f -> n f *y"
        n.activated("conv_transpose", *n.inputs, f=f, groups=groups, pattern=pattern, **attrs)
        return
    channels = _share(n, f, attrs["k"]) * groups
    weight = n.weight("weight", channels, f // groups, *attrs["k"])
    bias = n.weight("bias", f) if n.integer(5) else None
    n.activated("conv_transpose", n.inputs[0], weight, bias, f=f, groups=groups, **attrs)


@lowers("DeformableConv2D")
def deformable(n: Native) -> None:
    """Bottoms: data, offsets and, where it is modulated, a mask."""
    f, attrs = n.integer(0), window(n)
    weight = n.weight("weight", f, _share(n, f, attrs["k"]), *attrs["k"])
    bias = n.weight("bias", f) if n.integer(5) else None
    modulated = int(len(n.inputs) > 2)
    operands = (n.inputs[0], weight, bias, *n.inputs[1:])
    n.activated("deform_conv", *operands, f=f, modulated=modulated, **attrs)


@lowers("InnerProduct")
def inner_product(n: Native) -> None:
    """All axes are joined; of a matrix each row is a vector of its own."""
    dense(n, 1, 2)


def dense(n: Native, has_bias: int, weights: int) -> None:
    """Also a convolution of 1 x 1 over a vector. Two parameters are by other numbers there."""
    o, term, size = n.integer(0), n.integer(8), n.integer(weights)
    if o < 1 or size % o or size < 1:
        raise UnreadableModel(f"{size} weights do not divide among {o} outputs")
    inner, x = size // o, n.inputs[0]
    if n.rank == 2:
        x = n.emit("reshape", x, part="rows", shape=(-1, inner), axis=1, dtype=x.dtype)
    elif n.rank > 2:
        x = n.emit("flatten", x, part="flatten", axis=1, dtype=x.dtype)
    weight = n.weight("weight", o, inner, dtype="int8" if term else "float32")
    bias = n.weight("bias", o) if n.integer(has_bias) else None
    x = quantised(n, x, term)
    restored(n, "linear", (x, weight, bias), term, 2 if n.rank == 2 else 1, o=o)


@lowers("Pooling", "Pooling1D", "Pooling3D")
def pooling(n: Native) -> None:
    kind, axes = "avg_pool" if n.integer(0) else "max_pool", _axes(n)
    if n.integer(4):
        whole = n.emit(f"global_{kind}", n.inputs[0], part="global")
        n.emit("flatten", whole, axis=1, rank=1)
    elif n.integer(7):
        sizes = [n.integer(i, n.integer(8)) for i in (28, 18, 8)[3 - axes :]]
        size = tuple(None if s == LEFT_OPEN else s for s in sizes)
        n.emit(f"adaptive_{kind}", n.inputs[0], size=size)
    else:
        n.emit(kind, n.inputs[0], **_pool_window(n, axes))


def _pool_window(n: Native, axes: int) -> dict[str, Any]:
    """Mode 0 rounds a last, partial window in; 1 leaves it out; 2 and 3 keep the size."""
    if n.integer(1) < 1:
        raise UnreadableModel("its kernel size is missing")
    stride = _each(n, (22, 12, 2)[3 - axes :], 1)
    before = [n.integer(i, n.integer(3)) for i in (23, 13, 3)[3 - axes :]]
    after = [n.integer(i, b) for i, b in zip((16, 15, 14)[3 - axes :], before)]
    after[-1] = n.integer(14, n.integer(3))
    pad = "same" if n.integer(5) > 1 else tuple(zip(before, after))
    ceil = "full" if n.integer(5) == 0 else False
    return {"k": _each(n, KERNEL[3 - axes :], 1), "stride": stride, "pad": pad, "ceil": ceil}


@lowers("LRN")
def lrn(n: Native) -> None:
    size = n.integer(1, 5)
    n.emit("lrn", n.inputs[0], size=size * size if n.integer(0) else size)


@lowers("BatchNorm")
def batch_norm(n: Native) -> None:
    c = n.integer(0)
    mean, variance = (n.weight(k, c, trainable=False) for k in ("mean", "variance"))
    slope, bias = n.weight("slope", c), n.weight("bias", c)
    n.emit("batch_norm", n.inputs[0], mean, variance, slope, bias)


@lowers("Scale")
def scale(n: Native) -> None:
    """With -233 the factors are the second blob."""
    size = n.integer(0)
    if size == LEFT_OPEN:
        n.emit("mul", *n.inputs, like=0)
        return
    bias = n.weight("bias", size) if n.integer(1) else None
    n.emit("scale", n.inputs[0], n.weight("scale", size), bias)


@lowers("Bias")
def bias(n: Native) -> None:
    n.emit("scale", n.inputs[0], None, n.weight("bias", n.integer(0)))


@lowers("LayerNorm", "RMSNorm")
def layer_norm(n: Native) -> None:
    """Over groups of as many elements as there are weights: a row, or a channel."""
    size, learned = n.integer(0), n.integer(2, 1)
    over = size or None
    weight = n.weight("gamma", size) if learned else None
    if n.kind == "RMSNorm":
        n.emit("rms_norm", n.inputs[0], weight, over=over)
    else:
        bias = n.weight("beta", size) if learned else None
        n.emit("layer_norm", n.inputs[0], weight, bias, over=over)


@lowers("GroupNorm")
def group_norm(n: Native) -> None:
    weights = [n.weight(k, n.integer(1)) if n.integer(3, 1) else None for k in ("gamma", "beta")]
    n.emit("group_norm", n.inputs[0], *weights, groups=n.integer(0, 1))


@lowers("InstanceNorm")
def instance_norm(n: Native) -> None:
    weights = [n.weight(k, n.integer(0)) if n.integer(2, 1) else None for k in ("gamma", "beta")]
    n.emit("instance_norm", n.inputs[0], *weights)


@lowers("MVN")
def mvn(n: Native) -> None:
    axes = tuple(range(1 if n.integer(1) else 2, n.rank + 1))
    n.emit("mean_variance_norm", n.inputs[0], axes=axes, variance=bool(n.integer(0)))


@lowers("Normalize")
def normalize(n: Native) -> None:
    """Across space, channels, or both."""
    spatial = tuple(range(2, n.rank + 1)) if n.integer(0) else ()
    axes = ((1,) if n.integer(4) or not n.integer(0) else ()) + spatial
    size = n.integer(3)
    weight = n.weight("scale", size) if size > 0 else None
    n.emit("l2_norm", n.inputs[0], weight, axes=axes, shared=bool(n.integer(1)))


@lowers("Softmax")
def softmax(n: Native) -> None:
    n.emit("softmax", n.inputs[0], axis=n.axis(0))


@lowers("StatisticsPooling")
def statistics_pooling(n: Native) -> None:
    """The mean of each channel and, where asked for, its deviation."""
    axes = tuple(range(2, n.rank + 1))
    if not n.integer(0):
        n.emit("reduce_mean", n.inputs[0], axes=axes, keep=False, rank=1)
        return
    sides = [
        n.emit(f"reduce_{k}", n.inputs[0], part=k, axes=axes, keep=False) for k in ("mean", "std")
    ]
    n.emit("concat", *sides, axis=1, rank=1)
