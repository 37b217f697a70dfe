"""Backward is a rule: what the gradient of an operator computes, and what it needs kept.

The gradient of a contraction with respect to each operand sweeps the same index space as the
contraction itself; that of a pointwise operator is its derivative, written out and counted as
the operator is. A rule is entered beside the formula, as `@rule("gradient", name)`, and asks
for the same things by parameter name, besides `wants` (the places of the operands whose
gradient is needed) and `autograd`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flopwise import ops
from flopwise.counts import ZERO, Counts
from flopwise.dims import Dim
from flopwise.graph import Node, Tensor
from flopwise.ops import op

Tensors = tuple[Tensor | None, ...]
Wants = frozenset[int]


@dataclass(frozen=True, slots=True)
class Autograd:
    """Choices that differ between implementations of one backward, as PyTorch makes them.

    `backend` is "gpu" or "cpu". On a CPU dropout keeps scaled floats (bytes on a GPU), attention
    with dropout is not fused, and recurrent layers keep oneDNN's workspace.
    `fused_attention` keeps one number per row of scores and computes the scores again
    (FlashAttention); else the probabilities are kept, computed in the type `scores` (empty: that
    of the data, as Megatron-LM does; PyTorch's own are in float32).
    """

    backend: str = "gpu"
    fused_attention: bool = True
    scores: str = ""

    @property
    def mask(self) -> str:
        """The type of what dropout keeps; empty: that of the data."""
        return "" if self.backend == "cpu" else "bool"

    def fuses(self, dropout: float) -> bool:
        """Whether attention keeps row sums alone."""
        return self.fused_attention and not (dropout and self.backend == "cpu")


@dataclass(frozen=True, slots=True)
class Gradient:
    """What one backward step computes, and what it needs of the forward pass.

    `saved` are tensors of the forward that it reads; `kept` are made in the forward for it
    alone (masks, places, statistics); `passes` are the operands whose gradient is that of the
    result as it is, or a part of it; `again` is work of the forward that it repeats;
    `workspace` is bytes that it needs while it runs.
    """

    counts: Counts = ZERO
    saved: Tensors = ()
    kept: tuple[Tensor, ...] = ()
    passes: Wants = frozenset()
    again: Counts = ZERO
    workspace: Dim = 0


def gradient(node: Node, wants: Wants, autograd: Autograd) -> Gradient | None:
    """The backward of a node; None when nobody wrote a rule for it, or a size is unknown."""
    entry = ops.find(node.op)
    if entry is None or entry.gradient is None or not ops.resolved(node):
        return None
    known = {**ops.bind(node, entry), "wants": wants, "autograd": autograd}
    found: Gradient = ops.call(entry.gradient, known, node.attrs)
    return found


def stopped() -> Gradient:
    """The result is no smooth function of the operands: no gradient flows through."""
    return Gradient()


def stops(node: Node) -> bool:
    """Whether no gradient passes a node."""
    entry = ops.find(node.op)
    return entry is not None and entry.gradient is stopped


def smooth(tensor: Tensor) -> bool:
    """Whether a tensor holds real numbers, which alone have gradients."""
    return tensor.dtype.startswith(("float", "bfloat", "complex")) or tensor.dtype == ""


def keep(node: Node, what: str, shape: Any, dtype: str) -> Tensor:
    """A tensor that the forward keeps for the backward alone."""
    return Tensor(f"{node.outputs[0].name}·{what}", tuple(shape), dtype)


def adjoint(counts: Counts) -> Counts:
    """Per elementary operation, what passing a gradient back through it takes, its textbook
    derivative: d(xy) = y dx + x dy takes 2 multiplications and 1 addition, and so on. An
    approximation where a value is used once, or where the derivative can be had from the result.
    """
    mul = 2 * counts.mul + counts.div + counts.exp + counts.sqrt + counts.trig + 3 * counts.erf
    return Counts(
        mul=mul, add=counts.add + counts.mul, div=counts.div + counts.log + counts.sqrt,
        cmp=counts.cmp, trig=counts.trig, exp=counts.erf,
    )  # fmt: skip


def summed(operand: Tensor, result: Tensor) -> Counts:
    """A broadcast operand takes the sum over what it was spread to."""
    return Counts(add=result.size - operand.size) if operand.size != result.size else ZERO


def present(tensors: Tensors, wants: Wants) -> Iterator[tuple[int, Tensor]]:
    """The operands whose gradient is wanted, with their places."""
    for place in sorted(wants):
        tensor = tensors[place] if place < len(tensors) else None
        if tensor is not None:
            yield place, tensor


def record(counts: Counts) -> tuple[tuple[str, Any], ...]:
    """Counts as an attribute of a node, in which symbols are found."""
    return tuple(counts.items())


@op("gradient")
def backward(amounts: tuple[tuple[str, Any], ...] = ()) -> Counts:
    """What the gradient rule of the operator named by `of` says."""
    return Counts(**dict(amounts))


@ops.rule("traffic", "gradient")
def gradient_traffic(inputs: Tensors, outputs: tuple[Tensor, ...], view: Any = False) -> Any:
    """Nothing where gradients are handed on; else what is read and written."""
    if view:
        return 0, 0
    read: Mapping[str, Tensor] = {t.name: t for t in inputs if t is not None}
    return sum((t.bytes for t in read.values()), 0), sum((t.bytes for t in outputs), 0)


@op("keep")
def kept() -> Counts:
    """What a forward writes down beside its result, for the backward alone."""
    return ZERO


@op("accumulate", "*x, *x -> *x")
def accumulate(inputs: tuple[Tensor, ...]) -> Counts:
    """Where a tensor was used twice, its two gradients are added."""
    return Counts(add=inputs[0].size)
