"""What Darknet's networks end with: classes, and boxes at every position."""

from __future__ import annotations

from flopwise.frontends.darknet.cfg import Section
from flopwise.frontends.darknet.lowering import Emit, layer
from flopwise.graph import Tensor


@layer("softmax", "soft")
def softmax(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """Of all elements of an image, in groups; or of the channels at every position."""
    groups = s.size("groups", 1)
    if s.number("spatial", 0):
        return emit("softmax", x, axis=1)
    y = emit("flatten", x, part="flatten")
    y = emit("reshape", y, part="groups", shape=(0, groups, -1)) if groups > 1 else y
    return emit("softmax", y, axis=-1)


@layer("yolo", "Gaussian_yolo")
def yolo(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """Boxes are decoded and sorted out after the network: not counted."""
    return emit(
        "yolo", x, anchors=len(s.integers("mask")) or s.size("num", 1),
        classes=s.size("classes", 20), scale=s.number("scale_x_y", 1) != 1,
        gaussian=s.type == "Gaussian_yolo", activated=s.flag("new_coords"),
    )  # fmt: skip


@layer("region")
def region(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """The softmax over a tree of classes is counted as one over all of them."""
    return emit(
        "region", x, anchors=s.size("num", 1), classes=s.size("classes", 20),
        coords=s.size("coords", 4), softmaxed=s.flag("softmax") or "tree" in s.options,
    )  # fmt: skip


@layer("detection")
def detection(emit: Emit, s: Section, x: Tensor) -> Tensor:
    """YOLOv1: the classes of each cell come first, then objectness and boxes."""
    if not s.flag("softmax"):
        return emit("identity", x)
    classes = s.size("classes", 1)
    flat = emit("flatten", x, part="flatten")
    points = [s.size("side", 7) ** 2 * classes]
    scores, boxes = emit.all("split", flat, part="split", axis=1, points=points, outputs=2)
    cells = emit("reshape", scores, part="cells", shape=(0, -1, classes))
    scores = emit("flatten", emit("softmax", cells, part="softmax", axis=-1), part="scores")
    return emit("concat", scores, boxes, axis=1)
