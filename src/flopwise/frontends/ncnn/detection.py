"""Detection layers of ncnn."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.ncnn.native import Native, lowers


@lowers("PriorBox")
def prior_box(n: Native) -> None:
    """Of one blob without maximal sizes: MXNet's anchors."""
    sizes, ratios = n.array(0), n.array(2)
    if len(n.inputs) == 1 and n.integer(9) == n.integer(10) == -233 and not n.array(1):
        n.emit("anchors", n.inputs[0], sizes=tuple(sizes), ratios=tuple(ratios), rank=1)
        return
    n.emit(
        "prior_box", *n.inputs, min_sizes=tuple(sizes), max_sizes=tuple(n.array(1)),
        aspect_ratios=tuple(ratios), flip=bool(n.integer(7, 1)), clip=bool(n.integer(8)), rank=2,
    )  # fmt: skip


@lowers("DetectionOutput")
def detection_output(n: Native) -> None:
    top_k, keep = n.integer(2, 300), n.integer(3, 100)
    n.emit("detection_output", *n.inputs[:3], classes=n.integer(0), top_k=top_k, keep=keep, rank=2)


@lowers("YoloDetectionOutput", "Yolov3DetectionOutput")
def yolo(n: Native) -> None:
    softmaxed = n.kind == "YoloDetectionOutput"
    attrs: dict[str, Any] = {
        "classes": n.integer(0, 20),
        "anchors": n.integer(1, 5),
        "softmaxed": softmaxed,
    }
    n.emit("yolo_detections", *n.inputs, rank=2, **attrs)


@lowers("Proposal")
def proposal(n: Native) -> None:
    n.emit("proposal", *n.inputs[:2], pre=n.integer(2, 6000), post=n.integer(3, 300), rank=1)


@lowers("ROIPooling", "ROIAlign", "PSROIPooling")
def regions(n: Native) -> None:
    op = {"ROIPooling": "roi_pool", "ROIAlign": "roi_align", "PSROIPooling": "ps_roi_pool"}[n.kind]
    default = 7 if n.kind == "PSROIPooling" else 0
    size = (n.integer(1, default), n.integer(0, default))
    samples: dict[str, Any] = {"samples": n.integer(3)} if n.kind == "ROIAlign" else {}
    n.emit(op, *n.inputs[:2], size=size, rank=3, **samples)


@lowers("SPP")
def spp(n: Native) -> None:
    n.emit(
        "spp", n.inputs[0], levels=n.integer(1, 1), mode="avg" if n.integer(0) else "max", rank=1
    )


@lowers("GridSample")
def grid_sample(n: Native) -> None:
    """The grid's last axis holds positions, or its first, where a permutation is fused."""
    mode = ("nearest", "nearest", "linear", "cubic")[n.integer(0, 1)]
    grid = "n _ *y" if n.integer(3) else "n *y _"
    n.emit("grid_sample", *n.inputs, mode=mode, pattern=f"n c *_, grid: {grid} -> n c *y")
