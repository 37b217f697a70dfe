"""onnxruntime's kernels on a CPU, a node each, and what they allocate beside their results.

That was read from onnxruntime 1.31, operator by operator; `benchmarks/memory.py` holds it against
whole networks. `workspace` of a node is in bytes, for one thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flopwise import ops
from flopwise.analyses.liveness import walk
from flopwise.dims import Dim, floordiv, maximum, prod
from flopwise.graph import BITS, Graph, Node, Shape

SLICE = 128 * 128  # elements of columns that a convolution unfolds at a time (mlas SGEMM_STRIDE)
BLOCK = "block"  # the attribute of operators on blocks of channels: channels in a block
STANDING = {"gelu", "gelu_tanh", "cached_attention"}  # parts whose operands stand in memory


Rules = Mapping[str, Callable[[Node], Dim]]


def scratched(graph: Graph, rules: Rules) -> Graph:
    """The graph with the `workspace` of each kernel, unless a node states its own."""
    return replace(graph, nodes=tuple(_scratched(node, rules) for node in graph.nodes))


def _scratched(node: Node, rules: Rules) -> Node:
    """What is done on a result where it lies is done by the kernel that makes it."""
    if "workspace" in node.attrs or node.attrs.get("inplace"):
        return node
    own = scratch(node, rules)
    return node if own == 0 else replace(node, attrs={**node.attrs, "workspace": own})


def joined(graph: Graph) -> Graph:
    """The graph with one node for each operator of the file, of which a frontend may have
    written parts. `sums` of such a node are the operands that are added to its result."""
    units: list[list[Node]] = []
    for node in graph.nodes:
        parts: list[list[Node]] = []
        while units and _part(units[-1][-1], node):
            parts.append(units.pop())
        unit = parts.pop() if parts else []
        unit += [n for part in reversed(parts) for n in part]
        unit.append(node)
        units.append(unit)
    reads = Counter(t.name for t in graph.outputs)
    for node in graph.nodes:
        reads.update(t.name for t in node.inputs if t is not None)
    return replace(graph, nodes=tuple(_kernel(unit, reads) for unit in units))


def _part(node: Node, whole: Node) -> bool:
    """Parts are named after their operator, and stand before what writes its results."""
    named = node.name == whole.name or node.name.startswith(f"{whole.name}/")
    return named and bool(whole.name) and node.origin == whole.origin


def _kernel(unit: Sequence[Node], reads: Mapping[str, int]) -> Node:
    if len(unit) == 1:
        return unit[0]
    own: Dim = sum((n.attrs.get("workspace", 0) for n in unit), 0)
    inner = Counter(t.name for n in unit for t in n.inputs if t is not None)
    made = [t for n in unit for t in n.outputs]
    names = {t.name for t in made}
    results = tuple(t for t in made if reads[t.name] > inner[t.name] or not inner[t.name])
    needs = {t.name: t for n in unit for t in n.inputs if t is not None and t.name not in names}
    sums = tuple(t.name for n in unit if n.attrs.get("inplace") for t in n.inputs[1:] if t)
    if any(n.op in STANDING for n in unit):
        own = own + _between(Graph(tuple(needs.values()), results, tuple(unit)))
    attrs: dict[str, Any] = {"sums": sums, "workspace": own}
    if BLOCK in unit[0].attrs:
        attrs[BLOCK] = unit[0].attrs[BLOCK]
    return replace(unit[-1], inputs=tuple(needs.values()), outputs=results, attrs=attrs)


def _between(part: Graph) -> Dim:
    """The most that lives inside of an operator beside its operands and results."""
    steps = [dict(at.live) for at in walk(part, held=True)]
    ends = {t.name for t in (*part.inputs, *part.outputs)}
    most: Dim = 0
    for live in steps:
        most = maximum(most, sum((size for name, size in live.items() if name not in ends), 0))
    return most


def scratch(node: Node, rules: Rules) -> Dim:
    """Bytes that the kernel of a node allocates beside its results, and gives back."""
    rule = rules.get(node.op)
    known = all(t is None or t.known for t in (*node.inputs, *node.outputs))
    return rule(node) if rule is not None and known and node.outputs else 0


def _columns(node: Node) -> Dim:
    """Slices of the unfolded image, or all of one where there are more filters than places
    (MlasConvPrepare in onnxruntime/core/mlas/lib/convolve.cpp). None in blocks of channels, and
    none for windows of one element that leave none out."""
    if BLOCK in node.attrs:
        return 0
    axes = ops.bind(node, ops.OPS["conv"])
    window, places, filters = prod(axes["k"]), prod(axes["y"]), axes["f"]
    if window == 1 and axes["x"] == axes["y"]:
        return 0
    groups = floordiv(axes.get("c", filters), axes["g"])
    sizes = (filters, groups, places)
    if all(isinstance(size, int) for size in sizes) and filters // groups > places:
        return places * axes["g"] * window * _width(node)
    return SLICE * _width(node)


def _spread(node: Node) -> Dim:
    """What each place of one image gives to its window, before that is summed up."""
    axes = ops.bind(node, ops.OPS["conv_transpose"])
    return axes["g"] * prod(axes["k"]) * prod(axes["x"]) * _width(node)


def _turned(node: Node) -> Dim:
    """Operand and result with the axis last, where it is not."""
    axis, rank = node.attrs.get("axis", -1), len(node.outputs[0].sizes)
    last = axis in (-1, rank - 1) or node.attrs.get("onward")
    return 0 if last else 2 * node.outputs[0].bytes


def _squares(node: Node) -> Dim:
    """A scale for each element, and the squares of one image with zeros about its channels."""
    data, around = node.outputs[0], node.attrs.get("size", 5) - 1
    _, channels, *image = data.sizes
    return data.bytes + (channels + around) * prod(image) * _width(node)


def _shape(node: Node, place: int) -> Shape:
    operand = node.inputs[place]
    return () if operand is None else operand.sizes


def _width(node: Node) -> int:
    return BITS[node.outputs[0].dtype] // 8


def _places(node: Node) -> Dim:
    """Where each maximum lies, an int64, which torch works out in two axes and three whether or not
    it is asked for."""
    pooled = node.outputs[0]
    return 8 * pooled.size if len(node.outputs) == 1 and len(pooled.sizes) > 3 else 0


EAGER: Rules = {"max_pool": _places}
ONNXRUNTIME: Rules = {
    "conv": _columns, "conv_transpose": _spread, "softmax": _turned, "log_softmax": _turned,
    "where": lambda node: 2 * node.outputs[0].bytes,  # what is true and what is not, each alone
    "hard_swish": lambda node: node.outputs[0].bytes,  # run as hard_sigmoid, then mul
    "scatter_nd": lambda node: 8 * prod(_shape(node, 1)[:-1]),  # where each goes: an int64
    "lrn": _squares,
    "lstm": lambda node: 4 * node.outputs[0].bytes,  # gates of all steps
    "gru": lambda node: 3 * node.outputs[0].bytes,
}  # fmt: skip
# Optimised, convolutions run on blocks of channels, unfold nothing, and do hard_swish as well.
BLOCKED: Rules = {n: rule for n, rule in ONNXRUNTIME.items() if n not in ("conv", "hard_swish")}
