"""Which case a kernel of a network is: of which kind, and with which sizes."""

from __future__ import annotations

from math import prod
from typing import Any

from flopwise import ops
from flopwise.analyses import movement
from flopwise.analyses.cases import BLOCKED, VECTOR, Case
from flopwise.graph import Node
from flopwise.passes.fuse import Group

Sizes = tuple[Any, ...]  # whole numbers, once `case` has looked
DUAL = frozenset({"add", "sub", "mul", "div", "max", "min", "pow", "where", "prelu"})


def case(group: Group) -> Case | None:
    """What a kernel is, as calibrations measure it; None where they have nothing like it."""
    node = group.main
    entry = ops.find(node.op)
    if entry is None or not ops.resolved(node) or not all(map(_whole, _tensors(node))):
        return None
    found = FINDERS.get(node.op) or FAMILIES.get(entry.family)
    made = found(node, group) if found is not None else None
    return None if made is None else Case(made[0], tuple(max(1, int(s)) for s in made[1:]))


def _tensors(node: Node) -> list[Sizes]:
    return [t.sizes for t in (*node.inputs, *node.outputs) if t is not None]


def _result(node: Node) -> Sizes:
    return node.outputs[0].sizes


def _whole(shape: Sizes) -> bool:
    return all(isinstance(size, int) for size in shape)


def _first(value: Any) -> int:
    return int(value[0]) if isinstance(value, (tuple, list)) and value else int(value or 1)


def _conv(node: Node, group: Group) -> tuple[Any, ...]:
    """In blocks of channels, or laid out as the file has it."""
    entry = ops.find(node.op)
    assert entry is not None
    axes = ops.bind(node, entry)
    axes.setdefault("c", axes["f"])  # where a pattern says that there are as many
    out, taps = _result(node), prod(axes["k"])
    groups, stride = axes["c"] // axes["g"], _first(node.attrs.get("stride", 1))
    high = prod(axes["y"][:-1]) * axes["n"]
    plane = high, axes["y"][-1]
    extra = 1 + any(n.op == "add" for n in group.nodes), _act(group)
    if groups > 1 and groups == axes["c"] == axes["f"] and len(out) == 4:
        return ("depthwise_conv", axes["f"], *plane, taps, axes["k"][-1], stride, *extra)
    blocked = node.origin.startswith(BLOCKED) or (
        "::" not in node.origin and node.origin != "FusedConv" and _blocks(axes, groups)
    )
    if not blocked or len(out) != 4:
        return ("plain_conv", axes["g"], axes["f"] // groups, groups, *plane, taps, stride)
    if groups == 1 and axes["c"] < VECTOR:
        return ("first_conv", axes["c"], axes["f"], *plane, taps, stride, extra[1])
    return (
        "conv", axes["g"], axes["f"] // groups, groups, *plane, taps, axes["k"][-1], stride, *extra,
    )  # fmt: skip


def _act(group: Group) -> int:
    """How dear the function is that a convolution applies to its result."""
    names = {n.op for n in group.nodes}
    if names & {"sigmoid", "tanh", "silu", "gelu", "elu", "erf"}:
        return 3
    return 2 if names & {"hard_swish", "hard_sigmoid"} else 1


def _blocks(axes: dict[str, Any], groups: int) -> bool:
    """Whether onnxruntime lays the channels out in blocks (its nchwc_transformer.cc)."""
    if groups == 1:
        return axes["c"] < VECTOR or axes["c"] % 4 == 0
    return axes["g"] % VECTOR == 0 and (axes["f"] // groups) % VECTOR == 0


def _transposed(node: Node, group: Group) -> tuple[Any, ...]:
    entry = ops.find(node.op)
    assert entry is not None
    axes = ops.bind(node, entry)
    groups, stride = axes["f"] // axes["g"], _first(node.attrs.get("stride", 1))
    high = prod(axes["x"][:-1]) * axes["n"]
    return (
        "conv_transpose", axes["c"] // groups, axes["g"], groups, high, axes["x"][-1],
        prod(axes["k"]), stride,
    )  # fmt: skip


def _linear(node: Node, group: Group) -> tuple[Any, ...]:
    x, y = _tensors(node)[0], _result(node)
    return ("gemm", prod(y[:-1]), y[-1], x[-1])


def _matmul(node: Node, group: Group) -> tuple[Any, ...]:
    x, y = _tensors(node)[0], _result(node)
    right = node.inputs[1]
    if right is not None and (right.role == "weight" or len(right.sizes) < 3):
        return ("gemm", prod(y[:-1]), y[-1], x[-1])
    inner = int(group.counts.mac) // max(1, prod(y))  # type: ignore[arg-type]
    turned = 1 + _turned(node.inputs[0], group) + 2 * _turned(right, group)
    return ("matmul", prod(y[:-2]), y[-2] if len(y) > 1 else 1, y[-1], inner, turned)


def _turned(operand: Any, group: Group) -> bool:
    """Whether a kernel takes an operand that lies transposed."""
    made = [t.name for n in group.nodes if n.op == "swap_axes" for t in n.outputs]
    return operand is not None and operand.name in made


def _einsum(node: Node, group: Group) -> tuple[Any, ...]:
    """Axes of both operands and the result, of one operand and the result, and those added up."""
    given, _, kept = str(node.attrs.get("equation", "")).replace(" ", "").partition("->")
    letters = given.split(",")
    if len(letters) != 2 or not kept or "." in given:
        return _matmul(node, group)
    sizes = {a: s for ls, x in zip(letters, _tensors(node)) for a, s in zip(ls, x)}
    left, right, out = map(set, (*letters, kept))
    parts = left & right & out, (left - right) & out, (right - left) & out, (left | right) - out
    return ("einsum", *(prod(sizes[a] for a in part) for part in parts))


def _attended(node: Node, group: Group) -> tuple[Any, ...]:
    q, k = _tensors(node)[:2]
    return ("attention", prod(q[:-2]), q[-2], k[-2], q[-1])


def _normed(node: Node, group: Group) -> tuple[Any, ...]:
    """Rows, with a sum before it or without."""
    x = _tensors(node)[0]
    kind = "skip_norm" if any(n.op == "add" for n in group.nodes) else "norm"
    return (kind, prod(x[:-1]), x[-1]) if x else (kind, 1, 1)


def _planes(node: Node, group: Group) -> tuple[Any, ...]:
    return movement.flat("instance_norm")(node, group)


def _pooled(node: Node, group: Group) -> tuple[Any, ...]:
    y, k = _result(node), node.attrs.get("k", (1,))
    taps = prod(k) if isinstance(k, (tuple, list)) else int(k) ** max(1, len(y) - 2)
    kind = "avg_pool" if node.op == "avg_pool" else "pool"
    kind = kind if node.origin.startswith(BLOCKED) else f"plain_{kind}"
    return (kind, y[1], y[0] * prod(y[2:-1]), y[-1], taps, _first(node.attrs.get("stride", 1)))


def _resized(node: Node, group: Group) -> tuple[Any, ...]:
    size = node.outputs[0].size
    mode = node.attrs.get("mode", "nearest")
    kind = {"nearest": "resize_nearest", "cubic": "resize_cubic"}.get(mode, "resize")
    kind = "upsample" if node.origin.startswith(BLOCKED) and mode == "nearest" else kind
    return (kind, size, size // max(1, prod(_tensors(node)[0])))


def _elementwise(node: Node, group: Group) -> tuple[Any, ...]:
    """One operand, or two of one shape, one of them spread over rows or over channels."""
    y = _result(node)
    size = prod(y)
    operands: list[Sizes] = [t.sizes for t in node.inputs if t is not None]
    shapes = [sizes for sizes in operands if prod(sizes) > 1]
    small = [sizes for sizes in shapes if prod(sizes) < size]
    if node.op not in DUAL:
        return (f"unary {node.op}", size)
    if not small:
        scalar = len(operands) > len(shapes)
        return ("binary_scalar" if scalar else "binary", size)
    spread = small[0]
    if len(spread) and spread[-1] == y[-1] and y[-1] > 1:
        return ("binary_rows", size, prod(spread))
    run = next((i for i, s in enumerate(reversed(spread)) if s > 1), len(y))
    return ("binary_channels", size, prod(y[len(y) - run :]))


def _scaled(node: Node, group: Group) -> tuple[Any, ...]:
    """Channel by channel; onnxruntime does it as a convolution where channels are in blocks."""
    n, c, *plane = _result(node)
    if node.origin.startswith(BLOCKED):
        added = 1 + any(other.op == "add" for other in group.nodes)
        h, w = prod(plane[:-1]) * n, plane[-1]
        return ("depthwise_conv", c, h, w, 1, 1, 1, added, _act(group))
    return ("batch_norm", n, c, prod(plane))


FINDERS: dict[str, Any] = {
    "conv": _conv, "conv_transpose": _transposed, "linear": _linear, "matmul": _matmul,
    "einsum": _einsum, "attention": _attended, "resize": _resized,
    **dict.fromkeys(("softmax", "log_softmax"), movement.normalised),
    **dict.fromkeys(("layer_norm", "rms_norm"), _normed), "instance_norm": _planes,
    **dict.fromkeys(("batch_norm", "scale"), _scaled),
    **dict.fromkeys(("max_pool", "avg_pool"), _pooled),
    **dict.fromkeys(("global_avg_pool", "global_max_pool"), movement.averaged),
    "adaptive_avg_pool": movement.reduced, "transpose": movement.permuted,
    **dict.fromkeys(movement.COPIES, movement.copied),
    **dict.fromkeys(("depth_to_space", "space_to_depth"), movement.spread),
}  # fmt: skip
FAMILIES: dict[str, Any] = {
    "pointwise": _elementwise, "reduction": movement.reduced, "movement": movement.copied,
}  # fmt: skip
