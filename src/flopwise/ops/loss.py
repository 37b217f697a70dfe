"""Losses and the updates of optimisers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flopwise.counts import Counts
from flopwise.graph import Shape, Tensor
from flopwise.ops import op, rule
from flopwise.tally import sqrt, tally

Tensors = tuple[Tensor, ...]


@op("nll_loss")
def nll_loss(inputs: Tensors, reduction: str = "mean") -> Counts:
    """Log-probabilities, classes, weights of classes: minus the one of the class, weighted,
    then summed or averaged (by the sum of weights where there are any)."""
    size = inputs[1].size
    weighted = len(inputs) > 2 and inputs[2] is not None
    total = Counts(add=size, mul=size if weighted else 0)
    if reduction == "none":
        return total
    total += Counts(add=size - 1)
    if reduction == "mean":
        total += Counts(div=1, add=size - 1 if weighted else 0)
    return total


@rule("shape", "nll_loss")
def nll_shape(inputs: Tensors, reduction: str = "mean") -> list[Shape]:
    return [inputs[1].sizes if reduction == "none" else ()]


def adagrad(x: Any, g: Any, h: Any, rate: Any, decay: Any) -> Any:
    g = g + decay * x
    h = h + g * g
    return x - rate * g / (sqrt(h) + 1e-8)


def momentum(x: Any, g: Any, v: Any, rate: Any, alpha: Any, beta: Any, decay: Any) -> Any:
    return x - rate * (alpha * v + beta * (g + decay * x))


def nesterov(x: Any, g: Any, v: Any, rate: Any, alpha: Any, beta: Any, decay: Any) -> Any:
    g = g + decay * x
    return x - rate * (g + alpha * (alpha * v + beta * g))


def adam(x: Any, g: Any, v: Any, h: Any, rate: Any, a: Any, b: Any, decay: Any) -> Any:
    """Kingma and Ba 2015, algorithm 1, with the corrections of both moments in the rate."""
    g = g + decay * x
    v = a * v + (1 - 0.9) * g
    h = b * h + (1 - 0.999) * (g * g)
    return x - rate * v / (sqrt(h) + 1e-8)


UPDATES: dict[str, Callable[..., Any]] = {
    "adagrad": adagrad, "momentum": momentum, "nesterov": nesterov, "adam": adam,
}  # fmt: skip


def _enter(name: str) -> None:
    @op(name)
    def update(inputs: Tensors, mode: str = "") -> Counts:
        return inputs[0].size * tally(UPDATES[mode if mode in UPDATES else name])

    update.__doc__ = f"One step of {name} per element of a parameter."


for _name in ("adagrad", "momentum", "adam"):
    _enter(_name)


@rule("shape", "adagrad", "momentum", "adam")
def updated(inputs: Tensors, outputs: Tensors) -> list[Shape]:
    """The parameter and its state, of one shape."""
    return [inputs[0].sizes] * len(outputs)
