"""Gradients of operators that move elements: the way back, added up where paths meet."""

from __future__ import annotations

from flopwise import ops
from flopwise.counts import ZERO, Counts
from flopwise.graph import Node, Tensor
from flopwise.ops import (  # noqa: F401 - their operators get rules here
    arithmetic,
    attention,
    blocks,
    detection,
    indexing,
    learning,
    lookup,
    movement,
    ordering,
    quantization,
    rule,
    sequence,
    vision,
)
from flopwise.ops.gradient import Autograd, Gradient, Tensors, Wants, adjoint, keep, stopped

EVERY = frozenset(range(10_000))
HANDED_ON = (
    "identity", "reshape", "flatten", "flatten_to_matrix", "squeeze", "unsqueeze", "copy",
    "contiguous", "concat", "stack", "pad", "swap_axes", "dropout", "center_crop_pad",
)  # fmt: skip
MOVED = (
    "cast", "flip", "roll", "reverse", "triangle", "split", "slice", "crop", "select", "diagonal",
    "diagonal_embed", "depth_to_space", "space_to_depth", "channel_shuffle", "space_to_batch",
    "batch_to_space", "slice_like", "max_unpool", "compress", "permute", "reverse_sequence",
)  # fmt: skip
ADDED = ("gather", "gather_elements", "gather_nd", "embedding", "as_strided", "unfold_axis",
         "im2col", "unfold", "sort", "top_k", "embedding_bag")  # fmt: skip
SPREAD = ("expand", "tile", "repeat_axis", "broadcast_like")
STOPPED = (
    "stop_gradient", "constant", "shape_of", "size_of", "rank_of", "constant_of_shape", "eye",
    "constant_like", "random", "range", "linspace", "multinomial", "one_hot", "nonzero",
    "bincount", "unique", "nms", "prior_box", "anchors", "detection_output", "proposal",
    "yolo_detections", "vote", "dynamic_quantize", "sequence_length", "has_element",
)  # fmt: skip


@rule("gradient", *HANDED_ON)
def handed_on() -> Gradient:
    """The gradient of the result, or the part of it that lies over an operand."""
    return Gradient(passes=EVERY)


@rule("gradient", "transpose")
def transpose(node: Node) -> Gradient:
    """Back again: a view where the forward was one."""
    return Gradient(passes=EVERY if node.attrs.get("view") else frozenset())


@rule("gradient", "mask")
def mask(inputs: Tensors) -> Gradient:
    return Gradient(saved=inputs[1:])


def moved() -> Gradient:
    """Each gradient to where its element came from, zeros beside."""
    return Gradient()


def added(inputs: Tensors, outputs: tuple[Tensor, ...]) -> Gradient:
    """As moved; elements that were taken more than once have their gradients added up."""
    indices = tuple(t for t in inputs[:2] if t is not None and t.dtype.startswith(("int", "uint")))
    return Gradient(Counts(add=outputs[0].size), (*indices, *outputs[1:2]))


def spread(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Gradient:
    """Copies of one element give it the sum of their gradients."""
    same = outputs[0].size == inputs[0].size
    more = ZERO if same else Counts(add=outputs[0].size - inputs[0].size)
    return Gradient(more, passes=EVERY if same else frozenset())


def mirrored(node: Node, inputs: Tensors, outputs: tuple[Tensor, ...]) -> Gradient:
    """A weighted sum of neighbours, or a turn, goes back by the same weights."""
    forward = ops.count(node)
    assert forward is not None
    weights = inputs[1:] if node.op != "resize" else ()
    return Gradient(Counts(mul=forward.mul, add=forward.mul, div=forward.div), weights)


def sampled(node: Node, inputs: Tensors, wants: Wants) -> Gradient:
    """Samples at positions: back to the neighbours, and to the positions (by `adjoint`)."""
    forward = ops.count(node)
    assert forward is not None
    places = adjoint(forward) if 1 in wants else ZERO
    return Gradient(Counts(mul=forward.mul, add=forward.mul) + places, inputs)


def scattered(inputs: Tensors, wants: Wants) -> Gradient:
    """What was put somewhere takes the gradient from there."""
    return Gradient(saved=inputs[1:2], passes=frozenset({0}))


rule("gradient", *MOVED)(moved)
rule("gradient", *ADDED)(added)
rule("gradient", *SPREAD)(spread)
rule("gradient", *STOPPED)(stopped)
rule("gradient", "resize", "rotary_embedding", "roi_align", "roi_pool", "ps_roi_pool")(mirrored)
rule("gradient", "grid_sample")(sampled)
rule("gradient", "scatter", "scatter_nd")(scattered)


@ops.op("dropout_train", "*x -> *x")
def dropout_train(inputs: tuple[Tensor, ...]) -> Counts:
    """Each element is kept with a chance, and scaled up: a random number, a comparison and a
    product. Srivastava et al. 2014, scaled in training."""
    return inputs[0].size * Counts(cmp=1, mul=1)


@rule("gradient", "dropout_train")
def dropout_gradient(node: Node, outputs: tuple[Tensor, ...], autograd: Autograd) -> Gradient:
    """The same elements, by the same factor: what was kept is remembered."""
    out = outputs[0]
    mask = keep(node, "mask", out.sizes, autograd.mask or out.dtype)
    return Gradient(Counts(mul=out.size), (), (mask,))
