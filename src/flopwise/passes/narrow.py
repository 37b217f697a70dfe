"""Products in 8 bits inside a training step in 16, as FP8 recipes have them.

The operands of chosen products, forward and backward, are cast to 8 bits, each once; what gradients
of these products read of the forward is then kept in 8 bits. Results, and all else (norms,
softmax, the core of attention, residuals), stay as they are: Micikevicius et al. 2022
(arXiv:2209.05433); DeepSeek-V3 (arXiv:2412.19437), section 3.3, fig. 6.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from flopwise.graph import Graph, Node, Tensor

ORIGIN = "narrow"
FLOATS = ("float32", "float16", "bfloat16")


def narrow(graph: Graph, weights: Container[str], dtype: str = "float8") -> Graph:
    """The step with the products of these weights in `dtype`. The weights are read in it, from
    copies that are made once a step and stay; activations and gradients are cast by kernels."""
    cast: dict[str, Tensor] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        product = node.attrs.get("forward", node)
        if not any(t.name in weights for t in product.weights):
            nodes.append(node)
            continue
        given = tuple(t and _as(t, dtype, node, nodes, cast) for t in node.inputs)
        nodes.append(replace(node, inputs=given))
    return replace(graph, nodes=tuple(nodes))


def _as(
    tensor: Tensor, dtype: str, node: Node, nodes: list[Node], cast: dict[str, Tensor]
) -> Tensor:
    """The tensor in 8 bits; vectors (offsets) stay."""
    if tensor.dtype not in FLOATS or len(tensor.sizes) < 2:
        return tensor
    if tensor.role == "weight":
        return replace(tensor, dtype=dtype)
    if tensor.name not in cast:
        made = Tensor(f"{tensor.name}.{dtype}", tensor.shape, dtype)
        attrs = {"dtype": dtype} | {k: v for k, v in node.attrs.items() if k == "phase"}
        nodes.append(Node("cast", (tensor,), (made,), attrs, made.name, (), ORIGIN))
        cast[tensor.name] = made
    return cast[tensor.name]
