"""Caffe's own layers, each to our vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flopwise.errors import UnreadableModel
from flopwise.frontends.caffe.forks import FORKS
from flopwise.frontends.caffe.net import Emit, Lower, Shapes
from flopwise.frontends.caffe.recurrent import recurrent
from flopwise.frontends.caffe.scaling import bias, scale
from flopwise.frontends.caffe.text import Layer, positive, spatial
from flopwise.graph import Tensor


def unknown(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """A layer that we have no meaning for: listed, never silently nothing."""
    module = layer.sub("python_param").text("layer")
    layer.type += f" ({module})" if module else ""
    emit("unknown", *x, tops=0)


def convolution(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("convolution_param")
    if not p.all("kernel_size") and not p.all("kernel_h"):
        raise UnreadableModel("kernel_size is missing")
    deep = layer.type in ("DepthwiseConvolution", "ConvolutionDepthwise")
    f = p.number("num_output")
    attrs = {
        "f": f, "k": spatial(p, "kernel_size", 1), "groups": f if deep else p.number("group", 1),
        "stride": spatial(p, "stride", 1), "pad": spatial(p, "pad", 0),
        "dilation": spatial(p, "dilation", 1),
    }  # fmt: skip
    positive(attrs)
    weight = emit.weight("weight")
    bias = emit.weight("bias") if p.flag("bias_term", True) else None
    op = "conv_transpose" if layer.type == "Deconvolution" else "conv"
    for bottom, top in zip(x, layer.tops):
        emit.to(top)(op, bottom, weight, bias, **attrs)


def inner_product(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("inner_product_param")
    flat = emit("flatten", x[0], part="flatten", axis=p.number("axis", 1))
    weight = emit.weight("weight")
    bias = emit.weight("bias") if p.flag("bias_term", True) else None
    attrs: dict[str, Any] = {"o": p.number("num_output")}
    positive(attrs)
    if p.flag("transpose", False):
        attrs["pattern"] = "*n i, weight: i o, bias?: o -> *n o"
    emit("linear", flat, weight, bias, **attrs)


POOLS = {"MAX": "max_pool", "0": "max_pool", "AVE": "avg_pool", "1": "avg_pool"}


def pooling(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("pooling_param")
    kind = POOLS.get(p.text("pool", "MAX"), "")
    if not kind:
        layer.type += f" ({p.text('pool')})"
        unknown(emit, layer, x)
        return
    if p.flag("global_pooling", False):
        emit("global_" + kind, x[0])
        return
    if not p.all("kernel_size") and not p.all("kernel_h"):
        raise UnreadableModel("kernel_size is missing")
    pad = spatial(p, "pad", 0)
    floor = p.text("round_mode") in ("FLOOR", "1") or not p.flag("ceil_mode", True)
    # Caffe drops a window that begins in the padding, and only looks when there is some.
    ceil = "full" if pad == 0 else True
    attrs = {"k": spatial(p, "kernel_size", 1), "stride": spatial(p, "stride", 1), "pad": pad}
    positive(attrs)
    emit(kind, x[0], **attrs, ceil=False if floor else ceil)


def pyramid(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("spp_param")
    mode = "avg" if p.text("pool", "MAX") in ("AVE", "1") else "max"
    emit("spp", x[0], levels=p.number("pyramid_height"), mode=mode)


def parameter(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """A learned blob."""
    sizes = layer.sub("parameter_param").sub("shape").numbers("dim")
    emit("identity", emit.weight("blob", tuple(sizes)))


def lrn(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("lrn_param")
    size = p.number("local_size", 5)
    within = p.text("norm_region") in ("WITHIN_CHANNEL", "1")
    emit("lrn", x[0], size=size * size if within else size)


def pointwise(op: str) -> Lower:
    """A layer that is one operator of our vocabulary."""
    return lambda emit, layer, x: emit(op, *x)


def first(op: str) -> Lower:
    """The same of the first bottom only; others are labels."""
    return lambda emit, layer, x: emit(op, x[0])


def relu(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    emit("leaky_relu" if layer.sub("relu_param").real("negative_slope", 0) else "relu", x[0])


def prelu(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    shared = layer.sub("prelu_param").flag("channel_shared", False)
    emit("prelu_channels", x[0], emit.weight("slope", (1,) if shared else None))


def power(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """(shift + scale x)^power: only the steps that do something."""
    p = layer.sub("power_param")
    steps = [
        ("mul", p.real("scale", 1) != 1), ("add", p.real("shift", 0) != 0),
        ("pow", p.real("power", 1) != 1),
    ]  # fmt: skip
    chain(emit, x[0], [op for op, does in steps if does] or ["identity"])


def exponential(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """base^(shift + scale x)."""
    p = layer.sub(f"{layer.type.lower()}_param")
    steps = [("mul", p.real("scale", 1) != 1), ("add", p.real("shift", 0) != 0)]
    chain(emit, x[0], [op for op, does in steps if does] + [layer.type.lower()])


def chain(emit: Emit, x: Tensor, ops: list[str]) -> None:
    """Pointwise steps one after another, each against a constant."""
    for i, op in enumerate(ops[:-1]):
        x = emit(op, x, part=f"{op}{i}")
    emit(ops[-1], x)


def eltwise(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("eltwise_param")
    op = {"PROD": "mul", "0": "mul", "MAX": "max", "2": "max"}.get(p.text("operation"), "add")
    scaled = [float(str(c)) != 1 for c in p.all("coeff")] if op == "add" else []
    terms = [
        emit("mul", t, part=f"coeff{i}") if i < len(scaled) and scaled[i] else t
        for i, t in enumerate(x)
    ]
    emit(op, *terms)


def batch_norm(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """Three blobs: mean, variance and the factor that both are divided by."""
    mean, variance = (emit.weight(k, trainable=False) for k in ("mean", "variance"))
    emit("batch_norm", x[0], mean, variance, None, None, emit.weight("factor", (1,), False))


def concat(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("concat_param")
    emit("concat", *x, axis=p.number("axis", p.number("concat_dim", 1)))


def slice_(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("slice_param")
    axis = p.number("axis", p.number("slice_dim", 1))
    points = tuple(p.numbers("slice_point")) or None
    emit("split", x[0], tops=0, axis=axis, points=points, even=points is None)


def split(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    for top in layer.tops:
        emit.to(top)("identity", x[0])


def softmax(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    emit("softmax", x[0], axis=layer.sub("softmax_param").number("axis", 1))


def flatten(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("flatten_param")
    emit("flatten", x[0], axis=p.number("axis", 1), end_axis=p.number("end_axis", -1))


def reshape(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("reshape_param")
    shape = tuple(p.sub("shape").numbers("dim"))
    emit("reshape", x[0], shape=shape, axis=p.number("axis", 0), num_axes=p.number("num_axes", -1))


def crop(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    emit("crop", *x, axis=layer.sub("crop_param").number("axis", 2))


def reduction(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """Over every axis from `axis` on."""
    p = layer.sub("reduction_param")
    op = {"ASUM": "reduce_l1", "SUMSQ": "reduce_sum_square", "MEAN": "reduce_mean"}
    axis = p.number("axis", 0)
    flat = emit("flatten", x[0], part="flatten", axis=axis) if axis else x[0]
    name = op.get(p.text("operation", "SUM"), "reduce_sum")
    emit(name, flat, axes=(axis,) if axis else None, keep=False)


def argmax(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    axis = layer.sub("argmax_param").number("axis", -1)
    emit("argmax", x[0], axes=(axis,) if axis >= 0 else (1, 2, 3))


def mean_variance(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    across = layer.sub("mvn_param").flag("across_channels", False)
    attrs: dict[str, Any] = {"axes": 3} if across else {}
    emit("layer_norm" if across else "instance_norm", x[0], **attrs)


def embed(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("embed_param")
    table = emit.weight("weight")
    attrs: dict[str, Any] = {"v": p.number("input_dim"), "d": p.number("num_output")}
    if not p.flag("bias_term", True):
        emit("embedding", x[0], table, **attrs)
        return
    rows = emit("embedding", x[0], table, part="embed", **attrs)
    emit("add", rows, emit.weight("bias", (attrs["d"],)))


def tile(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("tile_param")
    emit("repeat_axis", x[0], repeats=p.number("tiles"), axis=p.number("axis", 1))


def data_shapes(layer: Layer) -> Shapes | None:
    """The shapes of the tops of a layer without bottoms; None when it brings no input."""
    if layer.type == "Parameter":
        return None
    read = DATA.get(layer.type)
    if read is None and layer.sub("input_param").all("shape"):
        read = input_shapes
    return (read or image_shapes)(layer)


def input_shapes(layer: Layer) -> Shapes:
    """`input_param`, `dummy_data_param` or the old four numbers of dummy data."""
    p = layer.sub("input_param" if layer.type != "DummyData" else "dummy_data_param")
    shapes = [tuple(Layer(s).numbers("dim")) for s in p.all("shape")]
    if not shapes and p.all("num"):
        axes = (p.numbers(k) for k in ("num", "channels", "height", "width"))
        shapes = [*zip(*axes)]
    padded = shapes + (shapes or [()])[-1:] * (len(layer.tops) - len(shapes))
    return [(top, shape or None) for top, shape in zip(layer.tops, padded)]


def image_shapes(layer: Layer) -> Shapes:
    """The crop or resize size, and as many channels as there are mean values.

    The batch size of a data base is a setting of the training run: one image is counted.
    """
    t = layer.sub("transform_param")
    resize, image = t.sub("resize_param"), layer.sub("image_data_param")
    crop = t.number("crop_size", 0) or layer.sub("data_param").number("crop_size", 0)
    height = crop or resize.number("height", 0) or image.number("new_height", 0) or None
    width = crop or resize.number("width", 0) or image.number("new_width", 0) or None
    channels = len(t.all("mean_value")) or None
    return [
        (top, (1, channels, height, width) if i == 0 else (1,)) for i, top in enumerate(layer.tops)
    ]


def memory_shapes(layer: Layer) -> Shapes:
    p = layer.sub("memory_data_param")
    shape = tuple(p.number(k) for k in ("batch_size", "channels", "height", "width"))
    return [(top, shape if i == 0 else shape[:1]) for i, top in enumerate(layer.tops)]


DATA: dict[str, Callable[[Layer], Shapes]] = {
    "Input": input_shapes,
    "DummyData": input_shapes,
    "MemoryData": memory_shapes,
}

LAYERS: dict[str, Lower] = {
    **FORKS,
    **dict.fromkeys(
        ("Convolution", "Deconvolution", "DepthwiseConvolution", "ConvolutionDepthwise"),
        convolution,
    ),
    "SPP": pyramid, "Parameter": parameter,
    "InnerProduct": inner_product, "Pooling": pooling, "LRN": lrn, "ReLU": relu, "PReLU": prelu,
    "ELU": pointwise("elu"), "Sigmoid": pointwise("sigmoid"), "TanH": pointwise("tanh"),
    "AbsVal": pointwise("abs"), "BNLL": pointwise("softplus"), "Swish": pointwise("silu"),
    "Clip": pointwise("clip"), "Threshold": pointwise("greater"), "Power": power,
    "Exp": exponential, "Log": exponential, "Dropout": pointwise("dropout"), "Eltwise": eltwise,
    "BatchNorm": batch_norm, "Scale": scale, "Bias": bias, "Concat": concat, "Slice": slice_,
    "Split": split, "Flatten": flatten, "Reshape": reshape, "Crop": crop, "Softmax": softmax,
    "SoftmaxWithLoss": softmax, "SigmoidCrossEntropyLoss": first("sigmoid"),
    "Reduction": reduction, "ArgMax": argmax, "MVN": mean_variance, "Embed": embed, "Tile": tile,
    "LSTM": recurrent, "RNN": recurrent,
}  # fmt: skip
