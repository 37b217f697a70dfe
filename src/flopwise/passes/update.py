"""Append what the optimiser does with the gradients of a training step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flopwise.graph import Graph, Node, Tensor
from flopwise.ops.gradient import record
from flopwise.ops.optimizers import Optimizer

OPTIMIZER = "optimizer"


def update(
    graph: Graph, gradients: Mapping[str, Tensor], optimizer: Optimizer, foreach: bool = False
) -> Graph:
    """The graph with one update per learned tensor that has a gradient. With `foreach` the
    temporaries of all parameters are there at once."""
    learned = {t.name: t for t in graph.tensors() if t.name in gradients}
    nodes = [_update(t, gradients[t.name], optimizer) for t in learned.values()]
    if foreach and optimizer.temporaries:
        spare = tuple(n.outputs[0] for n in nodes)
        attrs = {"phase": OPTIMIZER}
        nodes.append(Node("keep", spare, (), attrs, optimizer.name, (), optimizer.name))
    return replace(graph, nodes=(*graph.nodes, *nodes))


def _update(tensor: Tensor, grad: Tensor, optimizer: Optimizer) -> Node:
    made = tuple(
        Tensor(f"{tensor.name}·temporary{i}", tensor.shape, grad.dtype)
        for i in range(optimizer.temporaries)
    )
    attrs = {
        "of": optimizer.name, "phase": OPTIMIZER, "state": optimizer.bytes(tensor),
        "amounts": record(optimizer.counts(tensor)),
    }  # fmt: skip
    return Node("update", (tensor, grad), made, attrs, f"{tensor.name}·update", (), optimizer.name)
