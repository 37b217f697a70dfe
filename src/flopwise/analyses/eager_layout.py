"""Operators of PyTorch whose time hangs on how tensors lie in memory: copies, sums, reductions.

Each gives a kind of `aten` with its sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from flopwise.graph import Node, Tensor

Sizes = tuple[Any, ...]  # whole numbers, once `eager.case` has looked
Orders = Mapping[str, tuple[int, ...]]
LAST = (0, 2, 3, 1)
GATHERS = frozenset({"gather", "embedding", "gather_elements", "gather_nd"})
SPREAD = frozenset({"add", "sub", "mul", "div", "max", "min", "pow", "where", "prelu", "fma"})


class Places:
    """How tensors lie, and how many threads there are."""

    def __init__(self, orders: Orders, threads: int) -> None:
        self._orders, self.threads = orders, threads

    def order(self, tensor: Tensor) -> tuple[int, ...]:
        """Axes, outermost in memory first."""
        usual = tuple(range(len(tensor.sizes)))
        found = self._orders.get(tensor.name, usual)
        return found if len(found) == len(usual) else usual

    def last(self, tensor: Tensor) -> int:
        """2 where channels are last, else 1."""
        real = [a for a in self.order(tensor) if tensor.sizes[a] != 1]
        laid = [a for a in LAST if a < len(tensor.sizes) and tensor.sizes[a] != 1]
        return 1 + (len(tensor.sizes) == len(LAST) and real == laid != sorted(laid))


def sizes(tensor: Tensor) -> Sizes:
    """The shape, once it is known to be of numbers."""
    return tensor.sizes


def first(node: Node) -> Tensor:
    return next(t for t in node.inputs if t is not None)


def result(node: Node) -> Sizes:
    return node.outputs[0].sizes


def reduced(node: Node, places: Places) -> tuple[Any, ...]:
    """Axes that go, with what lies before and behind them in memory."""
    x, y = first(node), result(node)
    gone = _gone(x.sizes, y)
    order = [a for a in places.order(x) if x.sizes[a] != 1]
    spots = [i for i, a in enumerate(order) if a in gone]
    length = prod(x.sizes) // max(1, prod(y))
    if not spots or spots[-1] - spots[0] != len(spots) - 1:
        return ("mean", prod(y), length, 1)
    inner = prod(x.sizes[a] for a in order[spots[-1] + 1 :])
    return ("mean", prod(y) // inner, length, inner)


def _gone(x: Sizes, y: Sizes) -> set[int]:
    if len(x) == len(y):
        return {i for i, (a, b) in enumerate(zip(x, y)) if a != b}
    left, gone = list(y), set()
    for i, size in enumerate(x):
        if left and left[0] == size:
            left.pop(0)
        else:
            gone.add(i)
    return gone


def moved(node: Node, places: Places) -> tuple[Any, ...]:
    """What is put side by side or picked, in runs of elements that stay neighbours."""
    size, y = sum(t.size for t in node.outputs), result(node)
    if node.op in GATHERS:
        return ("index", size, y[-1] if len(y) > 1 else 1)
    if node.op == "pad":
        return ("pad", size, y[-1] if y else 1)
    order = places.order(node.outputs[0])
    joined = [a for a, part in enumerate(sizes(first(node))) if a < len(y) and part != y[a]]
    if node.op != "concat" or len(joined) != 1:
        return ("cat", size, y[-1] if y else 1)
    return ("cat", size, prod(y[a] for a in order[order.index(joined[0]) :]))


def copied(node: Node, places: Places) -> tuple[Any, ...]:
    """From one order in memory to another: by what moves once axes that stay together are one."""
    x, y = first(node), node.outputs[0]
    wanted = places.order(y) if x.sizes == y.sizes else range(len(x.sizes))
    order = places.order(x)
    shape = [x.sizes[a] for a in order]
    return _turned([order.index(a) for a in wanted], shape)


def _turned(perm: list[int], shape: Sizes | list[Any]) -> tuple[Any, ...]:
    """A copy that permutes axes."""
    parts = merged(perm, shape)
    order, sizes, whole = [place for place, _ in parts], dict(parts), prod(shape)
    if order == sorted(order):
        return ("clone", whole)
    if order == [0, 2, 1, 3]:
        return ("clone_rows", sizes[0], sizes[1], sizes[2], sizes[3])
    if order == [1, 0, 2]:
        return ("clone_rows", 1, sizes[0], sizes[1], sizes[2])
    if order == [0, 2, 1]:
        return ("clone_matrix", sizes[0], sizes[1], sizes[2])
    if order == [1, 0]:
        return ("clone_matrix", 1, sizes[0], sizes[1])
    return ("clone_other", whole, sizes[order[-1]] if order[-1] == len(order) - 1 else 1)


def merged(perm: list[int], shape: Any) -> list[tuple[int, Any]]:
    """Runs of axes that keep their order, renumbered, with their sizes; axes of 1 are none."""
    real = [p for p in perm if shape[p] != 1]
    ranks = {p: i for i, p in enumerate(sorted(real))}
    runs: list[list[int]] = []
    for p in real:
        if runs and ranks[runs[-1][-1]] + 1 == ranks[p]:
            runs[-1].append(p)
        else:
            runs.append([p])
    places = {min(run): i for i, run in enumerate(sorted(runs))}
    return [(places[min(run)], prod(shape[p] for p in run)) for run in runs]


def elementwise(node: Node, places: Places) -> tuple[Any, ...]:
    """One operand, or two, of one shape or one of them spread, laid out alike or not."""
    y, order = result(node), places.order(node.outputs[0])
    size, inplace = prod(y), node.attrs.get("inplace")
    if node.op not in SPREAD:
        return (f"{'inplace' if inplace else 'unary'} {_function(node)}", size)
    operands = [t for t in node.inputs if t is not None and prod(sizes(t)) > 1]
    small = [t.sizes for t in operands if prod(sizes(t)) < size]
    if not small:
        return _paired(operands, order, size, inplace, places)
    spread: Sizes = (1,) * (len(y) - len(small[0])) + tuple(small[0])
    laid = [spread[a] for a in order]
    behind: int = next((i for i, s in enumerate(reversed(laid)) if s > 1), len(y))
    if behind:
        return ("columns", size, prod([y[a] for a in order][len(y) - behind :]))
    return ("rows", size, prod(spread))


def _paired(
    operands: list[Tensor], order: Sizes, size: int, inplace: Any, places: Places
) -> tuple[Any, ...]:
    """Sums of what lies alike; else one of the two is read across."""
    if len(operands) < 2:
        return ("scalar", size)
    for other in (t for t in operands if len(t.sizes) == len(order)):
        shape = [other.sizes[a] for a in order]
        perm = [order.index(a) for a in places.order(other)]
        kind, *parts = _turned(perm, shape)
        if kind != "clone":
            run = {"clone_matrix": 1, "clone_rows": 3, "clone_other": 1}[kind]
            return ("mixed", size, 1 if kind == "clone_matrix" else parts[run])
    return ("inplace pair" if inplace else "pair", size)


def _function(node: Node) -> str:
    return {"relu6": "clip", "hard_tanh": "clip"}.get(node.op, node.op)
