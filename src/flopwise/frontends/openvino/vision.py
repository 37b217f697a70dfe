"""Resizing, regions, detection, spectra and embeddings of OpenVINO."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.openvino.native import Native, lowers

MODES = {"linear_onnx": "linear", "bilinear_pillow": "linear", "bicubic_pillow": "cubic"}


@lowers("Interpolate")
def interpolate(n: Native) -> None:
    """The size is an operand: of all axes listed; the fourth set has sizes and scales, the
    eleventh one of them."""
    mode = n.text("mode").lower()
    attrs: dict[str, Any] = {"mode": MODES.get(mode, mode), "antialias": n.flag("antialias")}
    if mode.endswith("pillow"):
        attrs["antialias"] = True
    if n.version < 4:
        axes, places = n.integers("axes"), {"sizes": 1}
    else:
        places = {"scales": 2, "sizes": 1} if n.version < 11 else {"scales": 1, "sizes": 1}
        last = 3 if n.version < 11 else 2
        axes = tuple(n.values(last) or range(len(n.stated(0))))
    by_scale = n.text("shape_calculation_mode") == "scales"
    size = n.input(places["scales" if by_scale else "sizes"])
    operands = (None, size, None) if by_scale else (None, None, size)
    if any(n.integers("pads_begin")) or any(n.integers("pads_end")):
        n.unknown()
        return
    n.emit("resize", n.given(0), *operands, axes=axes, **attrs)


@lowers("GridSample")
def grid_sample(n: Native) -> None:
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(n.text("mode", "bilinear"), "nearest")
    n.emit("grid_sample", *n.inputs, mode=mode)


@lowers("ROIPooling", "PSROIPooling", "ROIAlign")
def regions(n: Native) -> None:
    op = {"ROIPooling": "roi_pool", "PSROIPooling": "ps_roi_pool", "ROIAlign": "roi_align"}[n.kind]
    size: Any = n.integers("output_size") or n.integer("group_size", 0)
    attrs: dict[str, Any] = {}
    if n.kind == "ROIAlign":
        size = (n.integer("pooled_h"), n.integer("pooled_w"))
        mode = n.text("mode", "avg").lower()
        attrs = {"samples": n.integer("sampling_ratio"), "mode": "max" if mode == "max" else "mean"}
    n.emit(op, *n.inputs[:3], size=size, **attrs)


@lowers("DetectionOutput")
def detection_output(n: Native) -> None:
    classes = n.integer("num_classes") or 0
    keep, top_k = n.integers("keep_top_k") or (-1,), n.integer("top_k", -1)
    n.emit("detection_output", *n.inputs[:3], classes=classes, top_k=top_k, keep=keep[0])


@lowers("NonMaxSuppression")
def nms(n: Native) -> None:
    kept = n.values(2)
    n.emit("nms", *n.inputs[:2], kept=kept[0] if kept else None)


@lowers("RegionYolo")
def region_yolo(n: Native) -> None:
    softmaxed, classes = n.flag("do_softmax", True), n.integer("classes")
    count = n.integer("num") if softmaxed else len(n.integers("mask"))
    n.emit("region", n.given(0), anchors=count, classes=classes, softmaxed=softmaxed)


@lowers("PriorBox", "PriorBoxClustered")
def prior_box(n: Native) -> None:
    """Of a map and an image, both given by their sizes."""
    n.movement("prior_box", *n.inputs, sizes=None)


@lowers("Proposal")
def proposal(n: Native) -> None:
    pre, post = n.integer("pre_nms_topn"), n.integer("post_nms_topn")
    n.emit("proposal", *n.inputs[:2], pre=pre, post=post)


@lowers("ExtractImagePatches")
def patches(n: Native) -> None:
    """Windows side by side on the channels."""
    pad = "same" if n.text("auto_pad").startswith("same") else 0
    k, stride, rates = (n.integers(a) for a in ("sizes", "strides", "rates"))
    n.emit("im2col", n.given(0), k=k, stride=stride, dilation=rates, pad=pad)


@lowers("DFT", "IDFT", "RDFT", "IRDFT")
def fourier(n: Native) -> None:
    """Complex numbers are pairs on a last axis of two."""
    axes = n.values(1)
    if axes is None or len(axes) != 1:
        n.unknown()  # only one axis at a time has an operator of ours
        return
    inverse = n.kind.startswith("I")
    rank = len(n.stated(0))
    x = n.given(0)
    axis = axes[0] if axes[0] >= 0 else axes[0] + rank - (n.kind != "RDFT")
    if n.kind == "RDFT":
        x = n.emit("unsqueeze", x, part="real", axes=[-1])
    onesided = "RDFT" in n.kind
    if n.kind == "IRDFT":
        y = n.emit("dft", x, part="pairs", axis=axis, onesided=True, inverse=True)
        n.emit("squeeze", y, axes=[-1])
    else:
        n.emit("dft", x, axis=axis, onesided=onesided, inverse=inverse)


@lowers("EmbeddingBagOffsetsSum", "EmbeddingBagPackedSum", "EmbeddingSegmentsSum",
        "EmbeddingBagOffsets", "EmbeddingBagPacked")  # fmt: skip
def embedding_bag(n: Native) -> None:
    """Operands: the table, then indices."""
    mode = "mean" if n.text("reduction").lower() == "mean" else "sum"
    n.emit("embedding_bag", n.given(1), n.given(0), mode=mode)


@lowers("Multinomial")
def multinomial(n: Native) -> None:
    samples = n.values(1)
    n.movement("multinomial", n.given(0), s=samples[0] if samples else None)
