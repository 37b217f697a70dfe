"""The layers of Darknet, each to our vocabulary."""

from __future__ import annotations

from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.darknet.cfg import MOST, Section
from flopwise.frontends.darknet.lowering import Emit, layer, unknown
from flopwise.graph import Tensor

ACTIVATIONS = {
    "logistic": "sigmoid", "relu": "relu", "relu6": "relu6", "leaky": "leaky_relu",
    "revleaky": "leaky_relu", "relie": "leaky_relu", "tanh": "tanh", "elu": "elu",
    "selu": "selu", "gelu": "gelu_tanh", "swish": "silu", "silu": "silu", "mish": "mish",
    "plse": "plse", "hardtan": "hard_tanh", "lhtan": "leaky_hard_tanh", "hard_mish": "hard_mish",
    "loggy": "loggy", "ramp": "ramp",
}  # fmt: skip


def activate(emit: Emit, x: Tensor, kind: str, part: str = "") -> Tensor:
    """The activation of a layer; one that is unknown is listed, not counted."""
    if kind == "linear":
        return x
    if kind in ACTIVATIONS:
        return emit(ACTIVATIONS[kind], x, part=f"{part}{kind}")
    if kind.startswith("normalize_channels_softmax"):
        return emit("softmax", x, part=f"{part}{kind}", axis=1)
    if kind == "normalize_channels":
        positive = emit("relu", x, part=f"{part}relu")
        total = emit("reduce_sum", positive, part=f"{part}sum", axes=(1,))
        total = emit("add", total, part=f"{part}epsilon")
        return emit("div", positive, total, part=f"{part}{kind}")
    return emit("unknown", x, part=f"{part}{kind}")


def statistics(emit: Emit, x: Tensor, owner: str = "", part: str = "batch_norm") -> Tensor:
    """Normalisation by stored means and variances, then scales and biases."""
    mean, variance = (
        emit.weight(f"{owner}rolling_{kind}", trainable=False) for kind in ("mean", "variance")
    )
    scales, biases = emit.weight(f"{owner}scales"), emit.weight(f"{owner}biases")
    return emit("batch_norm", x, mean, variance, scales, biases, part=part)


def window(s: Section, size: int) -> dict[str, Any]:
    """Kernel, strides and padding: half the kernel with `pad`, else as `padding` says.

    Darknet's output is (x + 2 padding - size) / stride + 1 whatever the dilation: the
    padding grows with it.
    """
    stride = s.integer("stride", 1)
    strides = tuple(v if (v := s.integer(f"stride_{a}", 0)) > 0 else stride for a in "yx")
    if min(strides) < 1:
        raise UnreadableModel(f"stride is {min(strides)}")
    pad = size // 2 if s.flag("pad") else s.size("padding", 0, least=0)
    dilation = s.size("dilation", 1) if size > 1 else 1
    more = (dilation - 1) * (size - 1)
    pads = (pad + more // 2, pad + more - more // 2)
    return {"k": size, "stride": strides, "pad": (pads, pads), "dilation": dilation}


def filters(
    emit: Emit, x: Tensor, s: Section, f: int, size: int, part: str = "", owner: str = "",
    op: str = "conv", activation: str = "", **attrs: Any,
) -> Tensor:  # fmt: skip
    """A convolution with its bias or batch normalisation and its activation."""
    normalized = s.flag("batch_normalize") or s.flag("cbn")
    groups = 1 if s.flag("xnor") else max(s.integer("groups", 1), 1)
    attrs = {"f": f, "groups": groups, **window(s, size), **attrs}
    flags = {key: True for key in ("binary", "xnor") if s.flag(key)}
    bias = None if normalized else emit.weight(f"{owner}biases")
    y = emit(op, x, emit.weight(f"{owner}weights"), bias, part=f"{part}conv", **attrs, **flags)
    y = statistics(emit, y, owner, f"{part}batch_norm") if normalized else y
    return activate(emit, y, activation or s.text("activation", "logistic"), part)


@layer("convolutional", "conv")
def convolution(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """`share_index` takes the weights of another layer; antialiasing convolves every
    channel with a fixed blur, in strides that the layer itself then leaves out."""
    f, size = s.size("filters", 1), s.size("size", 1)
    owner = ""
    if "share_index" in s.options:
        owner = emit.other(s.integer("share_index")).name.partition("/")[0] + "."
        if not owner.startswith("conv"):
            raise UnreadableModel(f"share_index names {owner[:-1]}, which is no convolution")
    if not s.flag("antialiasing"):
        return filters(emit, x, s, f, size, owner=owner)
    return blur(emit, s, filters(emit, x, s, f, size, owner=owner, stride=1), f)


def blur(emit: Emit, s: Section, x: Tensor, f: int) -> Tensor:
    size = 2 if s.integer("antialiasing") == 2 else 3
    kernel = Tensor(f"{emit.name}.blur", (f, 1, size, size), role="constant")
    stride = window(s, 1)["stride"]
    attrs = {"f": f, "groups": f, "k": size, "stride": stride, "pad": size // 3}
    return emit("conv", x, kernel, None, part="blur", **attrs)


@layer("deconvolutional", "deconv")
def deconvolution(emit: Emit, s: Section, x: Tensor) -> Tensor:
    return filters(emit, x, s, s.size("filters", 1), s.size("size", 1), op="conv_transpose")


@layer("connected", "conn")
def connected(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """Its output is an image of 1 x 1."""
    flat = emit("flatten", x, part="flatten")
    pattern = "*n i, weight: o i, bias?: o -> *n o 1 1"
    return dense(emit, flat, s, s.size("output", 1), pattern=pattern)


def dense(
    emit: Emit, x: Tensor, s: Section, o: int, part: str = "", activation: str = "", **attrs: Any
) -> Tensor:
    """A fully connected layer with its bias or batch normalisation and its activation."""
    owner = f"{emit.name}.{part[:-1]}." if part else ""
    bias = None if s.flag("batch_normalize") else emit.weight(f"{owner}biases")
    y = emit("linear", x, emit.weight(f"{owner}weights"), bias, part=f"{part}linear", o=o, **attrs)
    if s.flag("batch_normalize"):
        y = statistics(emit, y, owner, f"{part}batch_norm")
    return activate(emit, y, activation or s.text("activation", "logistic"), part)


@layer("local")
def local(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """With `pad` the output is (x - 1) / stride + 1."""
    size = s.size("size", 1)
    more = size - 1 if s.flag("pad") else 0
    pads = (more // 2, more - more // 2)
    weight, bias = emit.weight("weights"), emit.weight("biases")
    attrs = {"f": s.size("filters", 1), "k": size, "stride": s.size("stride", 1)}
    y = emit("local_conv", x, weight, bias, part="conv", **attrs, pad=(pads, pads))
    return activate(emit, y, s.text("activation", "logistic"))


@layer("maxpool", "max", "local_avgpool", "local_avg")
def pool(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """The output is (x + padding - size) / stride + 1: the padding is that of both sides."""
    stride = s.size("stride", 1)
    strides = s.size("stride_y", stride), s.size("stride_x", stride)
    if s.flag("maxpool_depth"):
        # Every out_channels-th channel: [n c h w] as [n c/out out h w].
        shape = (0, -4, -1, s.size("out_channels", 1), -2)
        return emit(
            "reduce_max", emit("reshape", x, shape=shape, part="reshape"), axes=(1,), keep=False
        )
    size = s.size("size", stride)
    padding = s.size("padding", size - 1, least=0)
    pads = (padding // 2, padding - padding // 2)
    if s.flag("antialiasing"):
        return unknown(emit, s, x)
    op = "avg_pool" if "avg" in s.type else "max_pool"
    return emit(op, x, k=size, stride=strides, pad=(pads, pads))


@layer("avgpool", "avg")
def average(emit: Emit, s: Section, x: Tensor) -> Tensor:
    return emit("global_avg_pool", x)


@layer("route", "route_lhalf")
def route(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """Other layers side by side; of each only one of its groups of channels, or the first
    half (route_lhalf of the PyTorch ports)."""
    half = 2 if s.type == "route_lhalf" else 1
    inputs, groups = emit.others("layers"), s.size("groups", half, most=MOST)
    chosen = s.integer("group_id", 0)
    if not 0 <= chosen < groups:
        raise UnreadableModel(f"group_id is {chosen}, and there are {groups} groups")
    if groups > 1:
        inputs = [
            emit.all("split", t, part=f"group{i}", axis=1, outputs=groups, even=True)[chosen]
            for i, t in enumerate(inputs)
        ]
    return emit("concat", *inputs, axis=1) if len(inputs) > 1 else emit("identity", inputs[0])


@layer("shortcut")
def shortcut(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """A sum, each operand with a learned weight or none. Operands may have more channels,
    or a larger map: what they have in common is added."""
    operands = [x, *emit.others("from")]
    kind = s.text("weights_type", "none")
    if kind != "none":
        operands = [weighted(emit, kind, t, i) for i, t in enumerate(operands)]
    y = operands[0]
    for i, other in enumerate(operands[1:]):
        y = emit("add", y, other, part=f"add{i}" if i else "add", like=0, overlap=True)
    return activate(emit, y, s.text("activation", "linear"))


def weighted(emit: Emit, kind: str, x: Tensor, i: int) -> Tensor:
    """One weight per layer, or per channel; to normalise them is a few operations on the
    weights alone and is not counted."""
    if kind in ("per_feature", "per_layer"):
        return emit("mul", x, emit.weight(f"weights_{i}", (1,)), part=f"weight{i}")
    if kind == "per_channel":
        return emit("scale", x, emit.weight(f"weights_{i}"), part=f"weight{i}")
    raise UnreadableModel(f"weights_type is '{kind}'")


@layer("scale_channels", "sam", "control_channels")
def scale(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """Another layer times this one: times its channels, its positions, or its elements."""
    return activate(
        emit, emit("mul", x, *emit.others("from")[:1], part="mul"), s.text("activation", "linear")
    )


@layer("shift_channels")
def shift(emit: Emit, s: Section, x: Tensor) -> Tensor:
    return activate(
        emit, emit("add", x, *emit.others("from")[:1], part="add"), s.text("activation", "linear")
    )


@layer("implicit", "implicit_add", "implicit_mul")
def implicit(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """A learned vector in place of a map."""
    shape = (1, s.size("filters", 128), s.size("atoms", 1), 1)
    return emit("identity", emit.weight("weights", shape))


@layer("upsample")
def upsample(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """A negative stride sums blocks up instead."""
    stride = s.integer("stride", 2)
    if stride > 0:
        return emit("resize", x, mode="nearest", scale=stride)
    if stride == 0:
        raise UnreadableModel("stride is 0")
    return emit("sum_pool", x, k=-stride, stride=-stride)


@layer("reorg", "reorg3d", "reorg_old")
def reorg(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """Without a stride it is that of the PyTorch ports (YOLOR), which halve the map; to
    Darknet itself it would be nothing at all, and no file of its own leaves it out."""
    op = "depth_to_space" if s.flag("reverse") else "space_to_depth"
    return emit(op, x, block=s.size("stride", 2))


@layer("crop")
def crop(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """The middle of the image, from 0 .. 1 to -1 .. 1 unless told not to."""
    size = s.size("crop_height", 1), s.size("crop_width", 1)
    y = emit("crop", x, part="crop", size=size)
    return y if s.flag("noadjust") else emit("add", emit("mul", y, part="scale"), part="shift")


@layer("dropout", "cost", "empty", "silence", "contrastive")
def same(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """Layers that only learning has a use for."""
    return emit("dropout" if s.type == "dropout" else "identity", x)


@layer("activation", "logistic", "logxent")
def activation(emit: Emit, s: Section, x: Tensor) -> Tensor:
    kind = s.text("activation", "linear") if s.type == "activation" else "logistic"
    y = activate(emit, x, kind)
    return emit("identity", x) if y is x else y


@layer("normalization", "lrn")
def normalization(emit: Emit, s: Section, x: Tensor) -> Tensor:
    return emit("lrn", x, size=s.size("size", 5))


@layer("batchnorm")
def batchnorm(emit: Emit, s: Section, x: Tensor) -> Tensor:
    return statistics(emit, x)


@layer("l2norm")
def l2norm(emit: Emit, s: Section, x: Tensor) -> Tensor:
    return emit("l2_norm", x, axes=(1,))
