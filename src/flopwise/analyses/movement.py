"""Which case a kernel is that moves elements, reduces axes, or lays channels out anew."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from flopwise import ops
from flopwise.analyses.cases import BLOCKED
from flopwise.errors import UnknownValue
from flopwise.graph import Node
from flopwise.passes.fuse import Group

Sizes = tuple[Any, ...]
Found = tuple[Any, ...]
Finder = Callable[[Node, Group], Found]
COPIES = frozenset({
    "concat", "split", "slice", "pad", "gather", "expand", "tile", "stack", "copy", "contiguous",
    "roll", "select", "embedding", "crop", "cast", "gather_elements", "gather_nd",
})  # fmt: skip
# Copies with loops of their own in onnxruntime; the others go as a concatenation does.
OWN = {
    "pad": "pad", "slice": "slice", "select": "slice", "crop": "slice", "split": "split",
    "gather": "gather", "embedding": "gather",
}  # fmt: skip
# onnxruntime reduces these in one pass, the others element by element.
FAST = frozenset({"reduce_mean", "reduce_sum", "reduce_max", "reduce_min"})


def sizes(node: Node) -> Sizes:
    """Of the first operand."""
    return next(t.sizes for t in node.inputs if t is not None)


def result(node: Node) -> Sizes:
    return node.outputs[0].sizes


def flat(kind: str) -> Finder:
    """By what lies before and behind the second axis."""

    def find(node: Node, group: Group) -> Found:
        x = sizes(node)
        return (kind, prod(x[:2]), prod(x[2:]))

    return find


def axes(node: Node) -> list[int]:
    """Those that go: as the node says, or its second operand, or where sizes differ."""
    x, y = sizes(node), result(node)
    given = node.attrs.get("axes", node.attrs.get("axis"))
    if given is None and len(node.inputs) > 1:
        try:
            given = ops.constant(node.inputs, 1)
        except UnknownValue:
            given = None
    if given is None:
        alike = len(x) == len(y)
        return [i for i in range(len(x)) if not alike or x[i] != y[i]]
    return sorted(a % len(x) for a in ([given] if isinstance(given, int) else given))


def reduced(node: Node, group: Group) -> Found:
    """What lies before the axes that go, these, and what lies behind."""
    x, gone = sizes(node), axes(node)
    kind = "reduce" if node.op in FAST or not node.op.startswith("reduce_") else "reduce_slow"
    if not gone:
        return (kind, prod(x), 1, 1)
    inner = prod(x[gone[-1] + 1 :])
    length = prod(x[a] for a in gone)
    return (kind, prod(x) // max(1, inner * length), length, inner)


def averaged(node: Node, group: Group) -> Found:
    kind = "global_pool" if node.origin.startswith(BLOCKED) else "plain_global_pool"
    return flat(kind)(node, group)


def normalised(node: Node, group: Group) -> Found:
    """Softmax over the last axis, or over another."""
    x = sizes(node)
    axis = node.attrs.get("axis", -1)
    axis = axis % len(x) if isinstance(axis, int) and x else len(x) - 1
    inner = prod(x[axis + 1 :])
    if inner == 1:
        return ("softmax", prod(x[:axis]), prod(x[axis:]))
    return ("softmax_across", prod(x[:axis]), x[axis], inner)


def permuted(node: Node, group: Group) -> Found:
    """As onnxruntime tells them apart: nothing moves but axes of 1; one axis moves past others; or
    anything else, element by element unless the last axes stay (its transpose.cc)."""
    x = sizes(node)
    perm = [p % len(x) for p in node.attrs.get("perm") or range(len(x))[::-1]]
    if node.attrs.get("swap") is not None:
        a, b = node.attrs["swap"]
        perm = list(range(len(x)))
        perm[a], perm[b] = perm[b], perm[a]
    real = [p for p in perm if x[p] != 1]
    if real == sorted(real):
        return ("copy", prod(x), prod(x))
    moved = [p for p in perm if (left := [q for q in perm if q != p]) == sorted(left)]
    kept = next(i for i, p in enumerate(reversed(perm)) if p != len(perm) - 1 - i)
    inner = prod(x[len(x) - kept :])
    if not moved:
        return ("transpose_other", prod(x), inner)
    start = next(i for i, p in enumerate(perm) if p != i)
    stop = len(x) - kept
    rows = x[moved[0]] if perm.index(moved[0]) > moved[0] else prod(x[start:stop]) // x[moved[0]]
    shape = prod(x[:start]), rows, prod(x[start:stop]) // max(1, rows)
    return ("transpose_matrix", *shape) if inner == 1 else ("transpose_rows", *shape, inner)


def copied(node: Node, group: Group) -> Found:
    """Bytes go in runs: the elements that stay neighbours."""
    for name, kind in (("ReorderInput", "reorder_input"), ("ReorderOutput", "reorder_output")):
        if node.origin.endswith(name):
            return reordered(node, group, kind)
    size = sum(t.size for t in node.outputs)
    return (OWN.get(node.op, "copy"), size, run(node) or size)


def reordered(node: Node, group: Group, kind: str) -> Found:
    """Between blocks of channels and planes, or channels that lie last."""
    x, y = sizes(node), result(node)
    if "pattern" not in node.attrs or node.attrs["pattern"] is None:
        return flat(kind)(node, group)
    n, c = x[0], x[-1] if kind == "reorder_input" else y[-1]
    return (f"{kind}_last", n * c, prod(x) // max(1, n * c))


def run(node: Node) -> int:
    """Elements of the result that lie side by side as they do where they are from."""
    x, y = sizes(node), result(node)
    axis = node.attrs.get("axis")
    if isinstance(axis, int):
        return prod(y[axis % len(y) :]) if node.op != "gather" else prod(x[axis % len(x) + 1 :])
    if len(x) != len(y) or node.op not in ("pad", "slice", "crop"):
        return 0
    changed = [i for i, (a, b) in enumerate(zip(x, y)) if a != b]
    return prod(y[changed[-1] :]) if changed else 0


def spread(node: Node, group: Group) -> Found:
    block = node.attrs.get("block", 2)
    return ("depth_to_space", prod(result(node)), block * block)
