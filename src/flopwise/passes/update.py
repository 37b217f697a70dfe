"""Append what the optimiser does with the gradients of a training step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from flopwise.dims import Dim
from flopwise.errors import FlopwiseError, UnknownName
from flopwise.graph import BITS, Graph, Node, Tensor
from flopwise.ops.gradient import record
from flopwise.ops.optimizers import Optimizer

OPTIMIZER = "optimizer"
STATES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Kept:
    """What stays of each weight beside it: states in `dtype` ("": as what is updated, so do
    PyTorch's own optimizers, whose states are `zeros_like` the parameter), and with `masters` a
    float32 copy of weights in half precision, which is updated in their place."""

    optimizer: Optimizer
    dtype: str = ""
    masters: bool = False

    def __post_init__(self) -> None:
        if self.dtype and self.dtype not in STATES:
            raise UnknownName(f"--states {self.dtype}: {', '.join(STATES)}")
        if self.dtype and self.optimizer.dtype:
            raise FlopwiseError(f"--states: those of {self.optimizer.name} are of 8 bits")

    def type(self, weight: str) -> str:
        """Of the states of a weight of this type."""
        return self.optimizer.dtype or self.dtype or ("float32" if self.masters else weight)

    def states(self, weight: Tensor) -> Dim:
        """Bytes of the states."""
        return self.optimizer.bytes(weight, BITS[self.type(weight.dtype)] // 8)

    def master(self, weight: Tensor) -> Dim:
        """Bytes of the float32 copy."""
        return 4 * weight.size if self.masters and BITS[weight.dtype] < 32 else 0

    def statement(self, weights: Iterable[str]) -> str:
        """In which type the states of weights of these types are, and why."""
        if self.optimizer.dtype or self.dtype:
            return self.optimizer.dtype or self.dtype
        found = " and ".join(sorted(set(map(self.type, weights))))
        return f"{found} (as {'master copies' if self.masters else 'the weights'})"


def update(
    graph: Graph, gradients: Mapping[str, Tensor], kept: Kept, foreach: bool = False
) -> Graph:
    """The graph with one update per learned tensor that has a gradient. With `foreach` the
    temporaries of all parameters are there at once."""
    learned = {t.name: t for t in graph.tensors() if t.name in gradients}
    nodes = [_update(t, gradients[t.name], kept) for t in learned.values()]
    optimizer = kept.optimizer
    if foreach and optimizer.temporaries:
        spare = tuple(n.outputs[0] for n in nodes)
        attrs = {"phase": OPTIMIZER}
        nodes.append(Node("keep", spare, (), attrs, optimizer.name, (), optimizer.name))
    return replace(graph, nodes=(*graph.nodes, *nodes))


def _update(tensor: Tensor, grad: Tensor, kept: Kept) -> Node:
    optimizer = kept.optimizer
    made = tuple(
        Tensor(f"{tensor.name}·temporary{i}", tensor.shape, kept.type(tensor.dtype))
        for i in range(optimizer.temporaries)
    )
    attrs = {
        "of": optimizer.name, "phase": OPTIMIZER,
        "state": kept.states(tensor) + kept.master(tensor),
        "amounts": record(optimizer.counts(tensor)),
    }  # fmt: skip
    return Node("update", (tensor, grad), made, attrs, f"{tensor.name}·update", (), optimizer.name)
