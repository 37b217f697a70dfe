"""Fold batch normalisation into the layer before it, as deployment does.

(W x - mean) s / √(variance + ε) + b = (W s') x + b', with s' = s / √(variance + ε): a new
weight of the same shape, and a bias of one number per output channel. Jacob et al. 2018
(arXiv 1712.05877), eq. 14.
"""

from __future__ import annotations

from dataclasses import replace

from flopwise import ops
from flopwise.graph import Graph, Node, Tensor
from flopwise.passes.drop import FIXED, inside, uses

# The axis of the output channels in the pattern of each layer, and the place of its bias.
LAYERS = {"conv": "f", "conv_transpose": "f", "linear": "o"}
NORMS = {"batch_norm": "c", "scale": "c"}
BIAS = 2


def fold_batch_norm(graph: Graph) -> Graph:
    """The graph with each batch norm (and learned scale) folded into a convolution, transposed
    convolution or linear layer that nothing else reads."""
    used = uses(graph)
    made: dict[str, int] = {}
    nodes: list[Node | None] = []
    for node in graph.nodes:
        place = made.get(node.inputs[0].name) if node.inputs and node.inputs[0] else None
        before = nodes[place] if place is not None else None
        if place is not None and before is not None and _folds(before, node, used):
            nodes[place] = None
            node = _folded(before, node)
        made |= {t.name: len(nodes) for t in node.outputs}
        nodes.append(node)
    kept = tuple(n for n in nodes if n is not None)
    return inside(replace(graph, nodes=kept), fold_batch_norm)


def _folds(layer: Node, norm: Node, used: dict[str, int]) -> bool:
    if layer.op not in LAYERS or norm.op not in NORMS or len(layer.inputs) < BIAS:
        return False
    parameters = [*layer.inputs[1:], *norm.inputs[1:]]
    if any(t is not None and t.role not in FIXED for t in parameters):
        return False
    if used.get(layer.outputs[0].name) != 1 or any(t.name in used for t in norm.outputs[1:]):
        return False
    axis = _axis(layer, LAYERS[layer.op])
    return axis is not None and axis == _axis(norm, NORMS[norm.op])


def _axis(node: Node, letter: str) -> int | None:
    """Where the axis of that letter is in the result."""
    entry, result = ops.find(node.op), node.outputs[0]
    spelled = ops.layout(node, entry) if entry is not None else None
    if spelled is None or result.shape is None:
        return None
    place, axes = 0, spelled.outputs[0].axes
    spread = spelled.outputs[0].spread(len(result.shape))
    for axis in axes:
        if axis == letter:
            return place
        place += (spread or 0) if axis.startswith("*") else 1
    return None


def _folded(layer: Node, norm: Node) -> Node:
    """The layer with a bias, giving what the norm gave, in the norm's place: nothing reads
    the layer's result in between."""
    weight = layer.inputs[1]
    given = layer.inputs[BIAS] if len(layer.inputs) > BIAS else None
    channels = norm.outputs[0].sizes[_axis(norm, NORMS[norm.op]) or 0]
    dtype = weight.dtype if weight is not None else norm.outputs[0].dtype
    bias = given or Tensor(f"{norm.outputs[0].name}.folded_bias", (channels,), dtype, "weight")
    inputs = (*layer.inputs[:BIAS], bias, *layer.inputs[BIAS + 1 :])
    return layer.between(inputs, norm.outputs[:1])
