"""Detection: anchors, boxes, what is kept of them. How many are kept is data: operators
take the largest number as an attribute, and without it leave their output open."""

from __future__ import annotations

from typing import Any

from flopwise import dims
from flopwise.counts import Counts
from flopwise.dims import Dim, floordiv, prod
from flopwise.errors import ShapeMismatch, UnknownValue
from flopwise.graph import Shape, Tensor
from flopwise.ops import constant, op, rule
from flopwise.ops.normalization import softmax
from flopwise.ops.ordering import heap, merge
from flopwise.ops.pointwise import per_element
from flopwise.tally import exp, less, maximum, minimum, tally

Tensors = tuple[Tensor, ...]


def area(left: Any, top: Any, right: Any, bottom: Any) -> Any:
    return (right - left) * (bottom - top)


def overlap(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, s: Any, t: Any) -> Any:
    """Whether two boxes (a b c d), (e f g h) of areas s, t share more than a given part."""
    width = maximum(minimum(c, g) - maximum(a, e), 0)
    height = maximum(minimum(d, h) - maximum(b, f), 0)
    both = width * height
    return less(both / (s + t - both), 0.5)


def decode(x: Any, y: Any, w: Any, h: Any, px: Any, py: Any, pw: Any, ph: Any) -> Any:
    """A box from four numbers that a network predicts and its prior; SSD, eq. 2."""
    centre_x, centre_y = px + x * pw, py + y * ph
    half_w, half_h = exp(w) * pw / 2, exp(h) * ph / 2
    return centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h


def suppress(boxes: Dim, kept: Dim) -> Counts:
    """Greedy: the best box drops those that overlap it, `kept` times. The count is the
    most there can be, reached when nothing is dropped."""
    pairs = boxes * kept - floordiv(kept * (kept + 1), 2)
    return boxes * tally(area) + pairs * tally(overlap)


@op("nms", dtype="int64")
def nms(
    inputs: Tensors, outputs: Tensors, kept: Any = None, top_k: int | None = None
) -> Counts | None:
    """Boxes [.. b 4] and scores [.. classes b] (or [b]); at most `kept` of each class stay (as
    many as the output has room for unless given), of the `top_k` best. Sorting, and the
    suppression of overlapping boxes, at their dearest."""
    boxes = inputs[0].sizes[-2]
    classes = prod(inputs[1].sizes[:-1])
    few = boxes if top_k is None else top_k
    order = heap(boxes, few)
    kept = floordiv(outputs[0].sizes[0], classes) if kept is None else minimum_of(boxes, kept)
    return None if order is None else classes * (order + suppress(few, kept))


@rule("shape", "nms")
def nms_shape(inputs: Tensors, outputs: Tensors, kept: Any = None, columns: int = 3) -> list[Shape]:
    """[kept of all classes, columns]; columns 0: a vector of places. `kept` is an attribute or
    the third operand: the most that may stay, since how many do is data."""
    if kept is None:
        kept = constant(inputs, 2)[0]
    rows = prod(inputs[1].sizes[:-1]) * minimum_of(inputs[0].sizes[-2], kept)
    return [(rows, columns) if columns else (rows,)]


@op("prior_box")
def prior_box(inputs: Tensors, outputs: Tensors, clip: Any = False) -> Counts:
    """Corners of every prior, (centre ± half) / image, in numbers of the image's size."""
    priors = floordiv(outputs[0].size, 8)
    return priors * Counts(add=4, div=4, cmp=8 if clip else 0)


@rule("shape", "prior_box")
def prior_box_shape(
    inputs: Tensors, priors: Any = None, min_sizes: Any = (), max_sizes: Any = (),
    aspect_ratios: Any = (), flip: Any = True,
) -> list[Shape]:  # fmt: skip
    """[1, 2, h w priors 4], positions and variances, for a map [n c h w]; SSD's Caffe layer."""
    if priors is None:
        ratios = [1.0]
        for ratio in map(float, aspect_ratios):
            if all(abs(ratio - r) >= 1e-6 for r in ratios):
                ratios += [ratio, 1 / ratio] if flip else [ratio]
        priors = len(ratios) * len(min_sizes) + len(max_sizes)
    return [(1, 2, prod(inputs[0].sizes[2:]) * priors * 4)]


@op("anchors")
def anchors(outputs: Tensors, clip: Any = False) -> Counts:
    """Boxes of given sizes and ratios about every position of a map."""
    return outputs[0].size * Counts(add=1, cmp=2 if clip else 0)


@rule("traffic", "prior_box", "anchors")
def written_only(outputs: Tensors) -> tuple[Dim, Dim]:
    """Of the operands only the sizes matter."""
    return 0, outputs[0].bytes


@rule("shape", "anchors")
def anchors_shape(inputs: Tensors, sizes: Any = (1,), ratios: Any = (1,)) -> list[Shape]:
    """[1, h w (sizes + ratios - 1), 4]; MXNet's MultiBoxPrior."""
    each = len(sizes) + len(ratios) - 1
    return [(1, prod(inputs[0].sizes[2:]) * each, 4)]


@op("detection_output")
def detection_output(
    inputs: Tensors, outputs: Tensors, classes: int, top_k: int = -1, keep: int = -1,
    share: Any = True,
) -> Counts | None:  # fmt: skip
    """Locations [n, boxes 4 ..], confidences [n, boxes classes ..], priors: decode the boxes,
    drop the overlapping of each class but the background, keep the best of all classes."""
    n = inputs[0].sizes[0]
    boxes = inputs[1].size // (n * classes)
    few = minimum_of(boxes, top_k)
    order, best = heap(boxes, few), heap((classes - 1) * few, minimum_of(few, keep))
    if order is None or best is None:
        return None
    decoded = boxes * (1 if share else classes) * tally(decode)
    each = Counts(cmp=boxes) + order + suppress(few, few)
    return n * (decoded + (classes - 1) * each + best)


def minimum_of(size: Dim, limit: Dim) -> Dim:
    """`limit`, or all where it is negative or there are fewer."""
    return dims.minimum(size, limit) if not isinstance(limit, int) or limit >= 0 else size


@rule("shape", "detection_output")
def detection_output_shape(inputs: Tensors, keep: int = -1) -> list[Shape]:
    """[1, 1, n keep, 7]: image, label, confidence and corners."""
    if keep < 0:
        raise UnknownValue("how many boxes are kept is data")
    return [(1, 1, inputs[0].sizes[0] * keep, 7)]


@op("proposal")
def proposal(inputs: Tensors, outputs: Tensors, pre: int, post: int) -> Counts | None:
    """Region proposals of Faster R-CNN: scores [n 2a h w] and offsets [n 4a h w] of a anchors:
    boxes decoded and clipped, `pre` best of them taken, `post` kept."""
    n = inputs[1].sizes[0]
    boxes = inputs[1].size // (4 * n)
    few = minimum_of(boxes, pre)
    order = heap(boxes, few)
    if order is None:
        return None
    return n * (boxes * (tally(decode) + Counts(cmp=8)) + order + suppress(few, post))


@rule("shape", "proposal")
def proposal_shape(inputs: Tensors, outputs: Tensors, post: int) -> list[Shape]:
    """[n post, 5]: image and corners; a second output holds scores."""
    rows = inputs[0].sizes[0] * post
    shapes: list[Shape] = [(rows, 5), (rows, 1)]
    return shapes[: len(outputs)]


@op("yolo", "n c *x -> n c *x")
def yolo(
    n: Dim, c: Dim, x: Shape, anchors: int, classes: int, scale: Any = False,
    gaussian: bool = False, activated: bool = False,
) -> Counts:  # fmt: skip
    """YOLOv3: a sigmoid of x, y, objectness and every class; `scale`: x and y stretched
    after it (scale_x_y). The rest of the axis, width, height and masks, passes through.

    `gaussian`: each coordinate has a variance, through a sigmoid too; Choi 2019, eq. 1.
    `activated`: the layer before has done the sigmoids.
    """
    per_anchor(c, anchors, classes + (9 if gaussian else 5))
    cells = n * prod(x) * anchors
    sigmoids = 0 if activated else (7 if gaussian else 3) + classes
    total = cells * sigmoids * per_element("sigmoid")
    return total + cells * Counts(mul=2, add=2) if scale else total


@op("yolo_detections")
def yolo_detections(
    inputs: Tensors, outputs: Tensors, anchors: int, classes: int, softmaxed: bool = False
) -> Counts | None:
    """Maps [n, anchors (5 + classes), h, w] to boxes: the best class of each anchor and whether
    it is likely enough, its box, its overlap with others. At the dearest, like nms."""
    boxes = outputs[0].sizes[1]
    order = merge(boxes)
    if order is None:
        return None
    likely = 2 * per_element("sigmoid") + Counts(mul=1, cmp=classes)
    likely += softmax((1, classes)) if softmaxed else Counts()
    each = likely + 2 * per_element("sigmoid") + tally(decode)
    return inputs[0].sizes[0] * (boxes * each + order + suppress(boxes, boxes))


@rule("shape", "yolo_detections")
def yolo_detections_shape(inputs: Tensors, anchors: int, classes: int) -> list[Shape]:
    """[n, boxes, 6]: class, likelihood and corners of every anchor."""
    for tensor in inputs:
        per_anchor(tensor.sizes[1], anchors, classes + 5)
    boxes = sum((prod(t.sizes[2:]) * anchors for t in inputs), 0)
    return [(inputs[0].sizes[0], boxes, 6)]


def per_anchor(c: Dim, anchors: int, entries: int) -> None:
    """Raises ShapeMismatch when the channels are not those that the anchors need."""
    if isinstance(c, int) and c != anchors * entries:
        raise ShapeMismatch(
            f"{c} channels; {anchors} anchors of {entries} entries need {anchors * entries}"
        )


@op("region", "n c *x -> n c *x")
def region(
    n: Dim, c: Dim, x: Shape, anchors: int, classes: int, softmaxed: Any = True, coords: int = 4
) -> Counts:
    """YOLOv2: a sigmoid of x, y and objectness, and a softmax over the classes (or a
    sigmoid of each)."""
    per_anchor(c, anchors, coords + 1 + classes)
    cells = n * prod(x) * anchors
    if not softmaxed:
        return cells * (3 + classes) * per_element("sigmoid")
    return cells * 3 * per_element("sigmoid") + softmax((cells, classes))


@op("box_decode", "*n 4, priors: *_ -> *n 4")
def box_decode(n: Shape) -> Counts:
    """Boxes from predicted offsets and priors."""
    return prod(n) * tally(decode)
