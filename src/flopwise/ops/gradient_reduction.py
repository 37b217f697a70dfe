"""Gradients of normalisations, softmax, reductions and pooling."""

from __future__ import annotations

from typing import Any

from flopwise import ops
from flopwise.counts import ZERO, Counts
from flopwise.dims import Dim, floordiv, minimum, prod
from flopwise.graph import Node, Shape, Tensor
from flopwise.ops import loss as _loss  # noqa: F401 - its operators get rules here
from flopwise.ops import reduction as _reduction  # noqa: F401
from flopwise.ops import rule
from flopwise.ops.contraction import each, reached
from flopwise.ops.gradient import (
    Gradient,
    Tensors,
    Wants,
    adjoint,
    keep,
    present,
    stopped,
    summed,
)
from flopwise.ops.normalization import rest, start

FLOAT = "float32"  # statistics are kept in single precision whatever the data is in


def normalized(
    inputs: Tensors, result: Tensor, wants: Wants, groups: Dim, first: int = 1, centre: int = 1
) -> Counts:
    """Ioffe and Szegedy 2015, §3: with u = (x - mean) / std, taken again from x,
    dbias = sum g; dweight = sum g u; dx = (g - mean g - u mean(g u)) weight / std.

    `first` is the place of the weight; without a centre the means of g fall away.
    """
    size = result.size
    total = size * Counts(add=centre, mul=1)  # u
    if 0 in wants:
        total += size * Counts(mul=3 + int(centre), add=1 + centre)
        total += Counts(add=(1 + centre) * (size - groups), mul=size, div=groups * (1 + centre))
    for i, operand in present(inputs, wants - {0}):
        total += summed(operand, result) + (Counts(mul=size) if i == first else ZERO)
    return total


@rule("gradient", "batch_norm_train")
def batch_norm_train(
    node: Node, inputs: Tensors, outputs: tuple[Tensor, ...], wants: Wants, c: Dim
) -> Gradient:
    stats = (keep(node, "mean", (c,), FLOAT), keep(node, "deviation", (c,), FLOAT))
    return Gradient(normalized(inputs, outputs[0], wants, c), inputs[:2], stats)


@rule("gradient", "batch_norm")
def batch_norm(inputs: Tensors, outputs: tuple[Tensor, ...], wants: Wants, c: Dim) -> Gradient:
    """With stored statistics it is a factor and an offset per channel."""
    size = outputs[0].size
    total = Counts(mul=size, div=c) if 0 in wants else ZERO
    for i, operand in present(inputs, wants - {0, 1, 2}):
        total += summed(operand, outputs[0])
        total += size * Counts(add=1, mul=2) if i == 3 else ZERO
    return Gradient(total, inputs)


@rule("gradient", "layer_norm", "rms_norm")
def layer_norm(
    node: Node, inputs: Tensors, outputs: tuple[Tensor, ...], wants: Wants, x: Shape,
    axes: int = 1, axis: Any = None, over: Any = None,
) -> Gradient:  # fmt: skip
    size = prod(x[start(x, axes, axis) :]) if over is None else over
    rows, centre = floordiv(prod(x), size), int(node.op == "layer_norm")
    names = ("mean", "deviation") if centre else ("deviation",)
    stats = tuple(keep(node, name, (rows,), FLOAT) for name in names)
    total = normalized(inputs, outputs[0], wants, rows, centre=centre)
    return Gradient(total, inputs[:2], stats)


@rule("gradient", "group_norm", "instance_norm")
def group_norm(
    node: Node, inputs: Tensors, outputs: tuple[Tensor, ...], wants: Wants, n: Dim, c: Dim,
    groups: Any = None,
) -> Gradient:  # fmt: skip
    rows = n * (c if groups is None else groups)
    stats = tuple(keep(node, name, (rows,), FLOAT) for name in ("mean", "deviation"))
    return Gradient(normalized(inputs, outputs[0], wants, rows), inputs[:2], stats)


@rule("gradient", "mean_variance_norm", "l2_norm", "lrn")
def other_norm(node: Node, inputs: Tensors, outputs: tuple[Tensor, ...], wants: Wants) -> Gradient:
    """Elementwise by `adjoint`; the denominators are kept beside the operands and the result."""
    forward = ops.count(node)
    assert forward is not None
    denominators = keep(node, "scale", outputs[0].sizes, outputs[0].dtype)
    kept = (denominators,) if node.op == "lrn" else ()
    return Gradient(adjoint(forward), (*inputs, outputs[0]), kept)


@rule("gradient", "scale")
def scale(inputs: Tensors, outputs: tuple[Tensor, ...], wants: Wants, weight: int) -> Gradient:
    size = outputs[0].size
    total = Counts(mul=size) if 0 in wants and weight else ZERO
    for i, operand in present(inputs, wants - {0}):
        total += summed(operand, outputs[0]) + (Counts(mul=size) if i == 1 else ZERO)
    saved = (inputs[0] if 1 in wants else None, inputs[1] if weight else None)
    return Gradient(total, saved, passes=frozenset() if weight else frozenset({0}))


@rule("gradient", "softmax")
def softmax(outputs: tuple[Tensor, ...], x: Shape, axis: int = -1, onward: Any = False) -> Gradient:
    """out (g - sum(g out)) along the axis."""
    size, rows = prod(x), rest(x, axis, onward)
    return Gradient(Counts(mul=2 * size, add=2 * size - rows), outputs[:1])


@rule("gradient", "log_softmax")
def log_softmax(
    outputs: tuple[Tensor, ...], x: Shape, axis: int = -1, onward: Any = False
) -> Gradient:
    """g - exp(out) sum(g) along the axis."""
    size, rows = prod(x), rest(x, axis, onward)
    return Gradient(Counts(exp=size, mul=size, add=2 * size - rows), outputs[:1])


@rule("gradient", "nll_loss")
def nll_loss(inputs: Tensors) -> Gradient:
    """Minus the weight of the class at its place, zero elsewhere."""
    size = inputs[1].size if inputs[1] is not None else 0
    return Gradient(Counts(mul=size), inputs[1:])


def window(name: str, kept_places: bool = False) -> Any:
    """The rule of a pooling operator: gradients go back to the places they came from, where
    windows overlap they are added."""

    @rule("gradient", name)
    def pool(
        node: Node, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], n: Dim, c: Dim,
        y: Shape, k: Any, stride: Any = 1, dilation: Any = 1,
    ) -> Gradient:  # fmt: skip
        out = outputs[0]
        if kept_places:
            places = () if len(outputs) > 1 else (keep(node, "places", out.sizes, "int64"),)
            return Gradient(Counts(add=out.size), (inputs[0], *outputs[1:2]), places)
        taps = out.size * prod(each(k, len(y)))
        distinct = minimum(n * c * prod(reached(y, each(k, len(y)), stride, dilation)), taps)
        divided = out.size if name != "sum_pool" else 0
        more = adjoint(ops.count(node) or ZERO) if name == "lp_pool" else Counts(div=divided)
        return Gradient(more + Counts(add=taps - distinct), inputs[:1])

    return pool


for _name in ("avg_pool", "sum_pool", "lp_pool"):
    window(_name)
window("max_pool", kept_places=True)


@rule("gradient", "global_avg_pool", "adaptive_avg_pool", "reduce_mean", "reduce_sum")
def spread(node: Node, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Gradient:
    """The gradient of each result, divided where it was a mean, to all it was made of."""
    divided = 0 if node.op == "reduce_sum" else outputs[0].size
    saved = inputs[:1] if node.op == "adaptive_avg_pool" and prod(outputs[0].sizes[2:]) != 1 else ()
    passes = frozenset({0}) if node.op == "reduce_sum" else frozenset[int]()
    return Gradient(Counts(div=divided), saved, passes=passes)


@rule("gradient", "global_max_pool", "adaptive_max_pool", "reduce_max", "reduce_min")
def chosen(node: Node, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Gradient:
    """To the element that was chosen, whose place is kept."""
    places = keep(node, "places", outputs[0].sizes, "int64")
    return Gradient(ZERO, inputs[:1], (places,))


@rule(
    "gradient", "global_lp_pool", "reduce_prod", "reduce_l1", "reduce_l2", "reduce_sum_square",
    "reduce_log_sum", "reduce_log_sum_exp", "reduce_var", "reduce_std", "cumsum", "cumprod",
)  # fmt: skip
def by_parts(node: Node, inputs: Tensors, outputs: tuple[Tensor, ...]) -> Gradient:
    """By `adjoint` of each elementary operation, from the operand and the result; a running
    sum is one of the gradients from the other end, and keeps nothing."""
    forward = ops.count(node)
    assert forward is not None
    saved = () if node.op == "cumsum" else (*inputs[:1], outputs[0])
    factor = inputs[0].size if inputs[0] is not None and node.op not in ("cumsum",) else 0
    return Gradient(adjoint(forward) + Counts(mul=factor), saved)


rule("gradient", "argmax", "argmin", "reduce_any", "reduce_all", "hardmax")(stopped)
