"""Layers of the well-known forks: SSD, SENet, ShuffleNet, R-FCN, PSPNet, darknet2caffe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flopwise.frontends.caffe.net import Emit
from flopwise.frontends.caffe.text import Layer, positive, spatial
from flopwise.graph import Tensor


def bn(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """SegNet and PSPNet: scale, shift, mean and variance in one layer."""
    weight, bias = emit.weight("weight"), emit.weight("bias")
    mean, variance = (emit.weight(k, trainable=False) for k in ("mean", "variance"))
    emit("batch_norm", x[0], mean, variance, weight, bias)


def permute(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    order = layer.sub("permute_param").numbers("order")
    rest = [i for i in range(4) if i not in order]
    emit("transpose", x[0], perm=tuple(order + rest))


def normalize(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """SSD: l2 norm over channels (or all of an image), then a learned scale."""
    p = layer.sub("norm_param")
    across, shared = p.flag("across_spatial", True), p.flag("channel_shared", True)
    axes = (1, 2, 3) if across else (1,)
    emit("l2_norm", x[0], emit.weight("weight"), axes=axes, shared=shared)


def prior_box(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """One box per minimum size and aspect ratio, one more per maximum size."""
    p = layer.sub("prior_box_param")
    flip = p.flag("flip", True)
    ratios = {1.0}
    for ratio in (float(str(r)) for r in p.all("aspect_ratio")):
        ratios |= {ratio, 1 / ratio} if flip else {ratio}
    priors = max(len(p.all("min_size")), 1) * len(ratios) + len(p.all("max_size"))
    emit("prior_box", *x, priors=priors)


def prior_box_clustered(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """One box per width and height, which stand in pairs."""
    emit("prior_box", *x, priors=len(layer.sub("prior_box_param").all("width")))


def proposal(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """py-faster-rcnn's layer in C++; without its numbers, the defaults of its configuration."""
    p = layer.sub("proposal_param")
    pre, post = p.number("pre_nms_topn", 6000), p.number("post_nms_topn", 300)
    emit("proposal", *x[:2], tops=0, pre=pre, post=post)


def detection_output(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("detection_output_param")
    keep, top = p.number("keep_top_k", -1), p.sub("nms_param").number("top_k", -1)
    classes = p.number("num_classes")
    emit("detection_output", *x, classes=classes, keep=keep, top_k=top)


def channel_shuffle(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    emit("channel_shuffle", x[0], groups=layer.sub("shuffle_channel_param").number("group", 1))


def interp(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """DeepLab: to a size, or by factors that keep the corner pixels in place."""
    p = layer.sub("interp_param")
    attrs: dict[str, Any] = {
        "mode": "linear",
        "crop": (p.number("pad_beg", 0), p.number("pad_end", 0)),
    }
    if p.all("height"):
        attrs["size"] = (p.number("height"), p.number("width"))
    else:
        attrs["zoom"], attrs["shrink"] = p.number("zoom_factor", 1), p.number("shrink_factor", 1)
    emit("resize", x[0], *([x[1]] if len(x) > 1 else []), **attrs, like=1 if len(x) > 1 else None)


def upsample(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("upsample_param")
    emit("resize", x[0], mode="nearest", scale=p.number("scale", 2))


def reorg(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("reorg_param")
    op = "depth_to_space" if p.flag("reverse", False) else "space_to_depth"
    emit(op, x[0], block=p.number("stride", 2))


def roi_pooling(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("roi_align_param" if layer.type == "ROIAlign" else "roi_pooling_param")
    size = (p.number("pooled_h", 7), p.number("pooled_w", 7))
    emit("roi_align" if layer.type == "ROIAlign" else "roi_pool", *x, size=size)


def ps_roi_pooling(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("psroi_pooling_param")
    group = p.number("group_size")
    emit("ps_roi_pool", *x, size=(group, group), channels=p.number("output_dim"))


def deformable(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    p = layer.sub("deformable_convolution_param")
    attrs = {
        "f": p.number("num_output"), "k": spatial(p, "kernel_size", 1),
        "groups": p.number("group", 1), "stride": spatial(p, "stride", 1),
        "pad": spatial(p, "pad", 0), "dilation": spatial(p, "dilation", 1),
    }  # fmt: skip
    positive(attrs)
    weight = emit.weight("weight")
    bias = emit.weight("bias") if p.flag("bias_term", True) else None
    emit("deform_conv", x[0], weight, bias, x[1], **attrs)


def one(op: str, **attrs: Any) -> Callable[[Emit, Layer, list[Tensor]], Any]:
    """A layer that is one operator of our vocabulary."""
    return lambda emit, layer, x: emit(op, *x, **attrs)


FORKS: dict[str, Callable[[Emit, Layer, list[Tensor]], Any]] = {
    "BN": bn, "Axpy": one("fma"), "Permute": permute, "Normalize": normalize,
    "PriorBox": prior_box, "PriorBoxClustered": prior_box_clustered, "Proposal": proposal,
    "DetectionOutput": detection_output, "ShuffleChannel": channel_shuffle,
    "Interp": interp, "Upsample": upsample, "Reorg": reorg, "ROIPooling": roi_pooling,
    "ROIAlign": roi_pooling, "PSROIPooling": ps_roi_pooling,
    "DeformableConvolution": deformable, "ReLU6": one("relu6"), "HSwish": one("hard_swish"),
    "HSigmoid": one("hard_sigmoid"), "Mish": one("mish"), "SeLu": one("selu"),
    "SeLuDropout": one("dropout"),
}  # fmt: skip
