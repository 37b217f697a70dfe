"""Which of PyTorch's CPU kernels an operator runs, eagerly, and with which sizes (`aten`).

A trace says how tensors lie in memory: a convolution of channels-last data is another kernel,
and a copy turns what is not in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

from flopwise import ops
from flopwise.analyses import eager_layout as layout
from flopwise.analyses.cases import Case
from flopwise.analyses.eager_layout import Orders, Places, Sizes, first, result, sizes
from flopwise.graph import Node
from flopwise.passes.fuse import Group

FEW = 8  # channels of an image, at most
SMALL = 20480  # elements; ATen/native/Convolution.cpp, ConvParams::use_mkldnn


def case(group: Group, orders: Orders, threads: int = 1) -> Case | None:
    """What a kernel is, as calibrations measure it; None where they have nothing like it."""
    node = group.main
    entry = ops.find(node.op)
    if entry is None or not ops.resolved(node) or not all(map(_whole, _tensors(node))):
        return None
    if group.known and group.counts.bytes == 0 and group.counts.ops == 0:
        return Case("view", (max(2, len(result(node))),))
    find = FINDERS.get(node.op) or FAMILIES.get(entry.family)
    made = find(node, Places(orders, threads)) if find is not None else None
    return None if made is None else Case(made[0], tuple(max(1, int(s)) for s in made[1:]))


def calls(groups: Iterable[Group]) -> list[int]:
    """How many modules are entered for each kernel: Python calls them one inside another."""
    found: list[int] = []
    before: tuple[str, ...] = ()
    for group in groups:
        path = group.nodes[0].scope
        shared = 0
        while shared < min(len(path), len(before)) and path[shared] == before[shared]:
            shared += 1
        found.append(len(path) - shared)
        before = path
    return found


def _tensors(node: Node) -> list[Sizes]:
    return [t.sizes for t in (*node.inputs, *node.outputs) if t is not None]


def _whole(shape: Sizes) -> bool:
    return all(isinstance(size, int) for size in shape)


def _one(value: Any) -> int:
    return int(value[0]) if isinstance(value, (tuple, list)) and value else int(value or 1)


def _conv(node: Node, places: Places) -> tuple[Any, ...]:
    """oneDNN's, or for what is small and for 1 x 1 on one thread a matrix product of ATen's."""
    entry = ops.find(node.op)
    assert entry is not None
    axes = ops.bind(node, entry)
    axes.setdefault("c", axes["f"])  # where a pattern says that there are as many
    groups, taps = axes["c"] // axes["g"], prod(axes["k"])
    strides, dilated = _one(node.attrs.get("stride", 1)), _one(node.attrs.get("dilation", 1))
    plane, wide = (axes["n"] * prod(axes["y"][:-1]), axes["y"][-1]), axes["k"][-1]
    last, image = places.last(first(node)), prod(sizes(first(node)))
    tapped = taps > 1 or strides > 1 or dilated > 1 or axes["n"] >= 16 or places.threads > 1
    worth = groups > 1 or min(axes["k"]) > 3 or axes["n"] > 1 or image > SMALL
    each = axes["g"], axes["f"] // groups
    if len(axes["k"]) == 2 and not (tapped and worth):
        return ("slow_conv", *each, groups, *plane, taps, strides, last)
    if groups > 1 and groups == axes["c"] == axes["f"]:
        return ("mkldnn_depthwise", groups, *plane, taps, wide, strides, last)
    if groups == 1 and axes["c"] <= FEW:
        return ("image_conv", *each, *plane, taps, strides)
    return ("mkldnn_conv", *each, groups, *plane, taps, wide, strides, last)


def _transposed(node: Node, places: Places) -> tuple[Any, ...]:
    entry = ops.find(node.op)
    assert entry is not None
    axes = ops.bind(node, entry)
    groups = axes["f"] // axes["g"]
    plane = axes["n"] * prod(axes["x"][:-1]), axes["x"][-1]
    stride = _one(node.attrs.get("stride", 1))
    return ("mkldnn_deconv", axes["c"] // groups, axes["g"], groups, *plane, prod(axes["k"]),
            stride)  # fmt: skip


def _linear(node: Node, places: Places) -> tuple[Any, ...]:
    x, y = _tensors(node)[0], result(node)
    return ("addmm", prod(y[:-1]), y[-1], x[-1])


def _matmul(node: Node, places: Places) -> tuple[Any, ...]:
    left, right, y = first(node), node.inputs[1], result(node)
    if right is None or len(right.sizes) < 3:
        return _linear(node, places)
    order = places.order(right)
    turned = order.index(len(order) - 1) < order.index(len(order) - 2)
    rows = y[-2] if len(y) > 1 else 1
    return ("bmm", prod(y[:-2]), rows, y[-1], left.sizes[-1], 1 + turned)


def _einsum(node: Node, places: Places) -> tuple[Any, ...] | None:
    """As one product, of the axes of both operands, of each, and of those added up."""
    given, _, kept = str(node.attrs.get("equation", "")).replace(" ", "").partition("->")
    letters = given.split(",")
    if len(letters) != 2 or not kept or "." in given:
        return None
    sizes = {a: s for ls, x in zip(letters, _tensors(node)) for a, s in zip(ls, x)}
    left, right, out = map(set, (*letters, kept))
    parts = left & right & out, (left - right) & out, (right - left) & out, (left | right) - out
    return ("bmm", *(prod(sizes[a] for a in part) for part in parts), 1)


def _attended(node: Node, places: Places) -> tuple[Any, ...]:
    q, k = _tensors(node)[:2]
    return ("sdpa", prod(q[:-2]), q[-2], k[-2], q[-1])


def _layer_norm(node: Node, places: Places) -> tuple[Any, ...]:
    x = first(node).sizes
    axes = int(node.attrs.get("axes", 1))
    return ("native_layer_norm", prod(x[: len(x) - axes]), prod(x[len(x) - axes :]))


def _batch_norm(node: Node, places: Places) -> tuple[Any, ...]:
    n, c, *plane = first(node).sizes
    return ("native_batch_norm", n * c, prod(plane), places.last(first(node)))


def _group_norm(node: Node, places: Places) -> tuple[Any, ...]:
    n, c, *plane = first(node).sizes
    groups = int(node.attrs.get("groups", 1))
    return ("native_group_norm", n * groups, c // groups, prod(plane), places.last(first(node)))


def _softmax(node: Node, places: Places) -> tuple[Any, ...]:
    x = first(node).sizes
    axis = int(node.attrs.get("axis", -1)) % max(1, len(x))
    return ("_softmax", prod(x[:axis]), x[axis] if x else 1, prod(x[axis + 1 :]))


def _pooled(node: Node, places: Places) -> tuple[Any, ...]:
    y, k = result(node), node.attrs.get("k", (1,))
    taps = prod(k) if isinstance(k, (tuple, list)) else int(k) ** max(1, len(y) - 2)
    kind = "max_pool2d" if node.op == "max_pool" else "avg_pool2d"
    high, stride = y[0] * prod(y[2:-1]), _one(node.attrs.get("stride", 1))
    return (kind, y[1], high, y[-1], taps, stride, places.last(first(node)))


def _adaptive(node: Node, places: Places) -> tuple[Any, ...]:
    """To one number for each channel it is a mean."""
    x, y = first(node).sizes, result(node)
    if prod(y[2:]) == 1:
        return layout.reduced(node, places)
    taps = max(1, prod(x) // max(1, prod(y)))
    return ("avg_pool2d", y[1], y[0] * prod(y[2:-1]), y[-1], taps, 1, places.last(first(node)))


def _resized(node: Node, places: Places) -> tuple[Any, ...]:
    size = node.outputs[0].size
    nearest = node.attrs.get("mode", "nearest") == "nearest"
    kind = "upsample_nearest" if nearest else "upsample_bilinear"
    return (kind, size, size // max(1, prod(_tensors(node)[0])))


FINDERS: dict[str, Any] = {
    "conv": _conv, "conv_transpose": _transposed, "linear": _linear, "matmul": _matmul,
    "einsum": _einsum, "attention": _attended, "resize": _resized, "layer_norm": _layer_norm,
    "rms_norm": _layer_norm, "batch_norm": _batch_norm, "group_norm": _group_norm,
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    **dict.fromkeys(("max_pool", "avg_pool"), _pooled),
    **dict.fromkeys(("adaptive_avg_pool", "adaptive_max_pool"), _adaptive),
    **dict.fromkeys(("copy", "contiguous"), layout.copied),
}  # fmt: skip
FAMILIES: dict[str, Any] = {
    "pointwise": layout.elementwise, "reduction": layout.reduced, "movement": layout.moved,
    "indexing": layout.moved,
}  # fmt: skip
