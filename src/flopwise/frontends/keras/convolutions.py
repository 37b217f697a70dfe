"""Convolutions and pooling of Keras. A kernel is *k g f, a depthwise one *k c m, one of a
transposed convolution *k g c."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.keras.native import Native, lowers


def rank(n: Native) -> int:
    """How many axes a layer slides over: the figure before the D in its name."""
    return next(int(c) for c, d in zip(n.kind, n.kind[1:]) if d == "D" and c.isdigit())


def data(n: Native, c: str = "c") -> str:
    return f"n {c} *x" if n.first else f"n *x {c}"


def result(n: Native) -> str:
    return "n f *y" if n.first else "n *y f"


def window(n: Native, axes: int) -> dict[str, Any]:
    """A causal convolution looks back only."""
    k, dilation = n.sizes("kernel_size", axes), n.sizes("dilation_rate", axes)
    kind = str(n.config.get("padding", "valid")).lower()
    pad: Any = {"same": "same", "valid": 0}.get(kind)
    if kind == "causal":
        pad = tuple(((a - 1) * d, 0) for a, d in zip(k, dilation))
    if pad is None:
        raise ValueError(f"padding '{kind}'")
    return {"k": k, "stride": n.sizes("strides", axes), "pad": pad, "dilation": dilation}


@lowers("Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D", "Convolution3D")
def conv(n: Native) -> None:
    operands = n.inputs[0], n.weight("kernel"), n.optional("use_bias", "bias")
    pattern = f"{data(n)}, weight: *k g f, bias?: f -> {result(n)}"
    f, groups = int(n.config["filters"]), int(n.config.get("groups", 1))
    n.activated("conv", *operands, pattern=pattern, f=f, groups=groups, **window(n, rank(n)))


def depthwise(n: Native, part: str = "", kernel: str = "depthwise_kernel") -> dict[str, Any]:
    multiplier = int(n.config.get("depth_multiplier", 1))
    pattern = f"{data(n)}, weight: *k c m, bias?: f -> {result(n)}"
    return {"pattern": pattern, "multiplier": multiplier, "g": 1, **window(n, rank(n))}


@lowers("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise_conv(n: Native) -> None:
    weight, bias = n.weight("depthwise_kernel"), n.optional("use_bias", "bias")
    n.activated("conv", n.inputs[0], weight, bias, **depthwise(n))


@lowers("SeparableConv1D", "SeparableConv2D", "SeparableConvolution2D")
def separable_conv(n: Native) -> None:
    """Depthwise, then all channels at each position."""
    x = n.emit("conv", n.inputs[0], n.weight("depthwise_kernel"), None, part="depthwise",
               **depthwise(n))  # fmt: skip
    axes, weight, bias = rank(n), n.weight("pointwise_kernel"), n.optional("use_bias", "bias")
    pattern = f"{data(n)}, weight: *k g f, bias?: f -> {result(n)}"
    n.activated("conv", x, weight, bias, pattern=pattern, f=int(n.config["filters"]),
                k=(1,) * axes)  # fmt: skip


@lowers("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Deconvolution2D")
def conv_transpose(n: Native) -> None:
    """Without padding the result is as long as the last window reaches."""
    f, attrs = int(n.config["filters"]), window(n, rank(n))
    if n.config.get("output_padding") is not None:
        n.unknown()  # its padding is another
        return
    if attrs["pad"] == 0:  # windows narrower than the stride leave gaps at the end
        gaps = tuple(max(s - k, 0) for s, k in zip(attrs["stride"], attrs["k"]))
        attrs["output_pad"] = gaps
    pattern = f"{data(n)}, weight: *k g c, bias?: f -> {result(n)}"
    operands = n.inputs[0], n.weight("kernel"), n.optional("use_bias", "bias")
    n.activated("conv_transpose", *operands, pattern=pattern, f=f, **attrs)


@lowers("Dense")
def dense(n: Native) -> None:
    pattern = "*n i, weight: i o, bias?: o -> *n o"
    operands = n.inputs[0], n.weight("kernel"), n.optional("use_bias", "bias")
    n.activated("linear", *operands, pattern=pattern, o=int(n.config["units"]))


POOLS = {"Max": "max_pool", "Average": "avg_pool"}


@lowers(*(f"{kind}Pooling{d}D" for kind in POOLS for d in (1, 2, 3)))
def pool(n: Native) -> None:
    axes = rank(n)
    k = n.sizes("pool_size", axes, 2)
    stride = n.sizes("strides", axes) if n.config.get("strides") is not None else k
    pad: Any = "same" if str(n.config.get("padding", "valid")).lower() == "same" else 0
    pattern = "n c *x -> n c *y" if n.first else "n *x c -> n *y c"
    op = POOLS[n.kind.partition("Pooling")[0]]
    n.emit(op, n.inputs[0], k=k, stride=stride, pad=pad, pattern=pattern)


@lowers(*(f"Global{kind}Pooling{d}D" for kind in POOLS for d in (1, 2, 3)))
def global_pool(n: Native) -> None:
    """One number per channel."""
    first = 2 if n.first else 1
    op = "reduce_max" if "Max" in n.kind else "reduce_mean"
    axes = tuple(range(first, first + rank(n)))
    n.emit(op, n.inputs[0], axes=axes, keep=n.flag("keepdims"))


@lowers(*(f"UpSampling{d}D" for d in (1, 2, 3)))
def upsample(n: Native) -> None:
    axes = rank(n)
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(
        str(n.config.get("interpolation", "nearest")), "nearest"
    )
    first = 2 if n.first else 1
    places = tuple(range(first, first + axes))
    n.emit("resize", n.inputs[0], mode=mode, scale=n.sizes("size", axes, 2), axes=places)


@lowers("Resizing")
def resize(n: Native) -> None:
    kinds = {"bilinear": "linear", "nearest": "nearest", "bicubic": "cubic", "area": "area"}
    mode = kinds.get(str(n.config.get("interpolation", "bilinear")))
    if mode is None or n.flag("crop_to_aspect_ratio") or n.flag("pad_to_aspect_ratio"):
        n.unknown()
        return
    size = int(n.config["height"]), int(n.config["width"])
    n.emit("resize", n.inputs[0], mode=mode, size=size, axes=(2, 3) if n.first else (1, 2))


def edges(n: Native, name: str) -> list[tuple[int, int]]:
    """Both edges of every axis, however they are written."""
    given: Any = n.config[name]
    if isinstance(given, int):
        return [(given, given)] * rank(n)
    if rank(n) == 1:
        return [(int(given[0]), int(given[1]))] if isinstance(given[0], int) else [tuple(given[0])]
    return [(g, g) if isinstance(g, int) else (int(g[0]), int(g[1])) for g in given]


@lowers(*(f"ZeroPadding{d}D" for d in (1, 2, 3)))
def zero_padding(n: Native) -> None:
    first, pads = 2 if n.first else 1, tuple(edges(n, "padding"))
    n.emit("pad", n.inputs[0], pads=pads, axes=range(first, first + len(pads)))


@lowers(*(f"Cropping{d}D" for d in (1, 2, 3)))
def cropping(n: Native) -> None:
    first, sides = 2 if n.first else 1, edges(n, "cropping")
    axes = tuple(range(first, first + len(sides)))
    ends = [-b or 2**31 - 1 for _, b in sides]
    n.emit("slice", n.inputs[0], axes=axes, starts=[a for a, _ in sides], ends=ends)
