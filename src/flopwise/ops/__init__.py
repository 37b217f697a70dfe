"""The textbook: one entry per operator, with its formula, its shapes and its traffic.

Letters, the same everywhere: n batch, c input channels, f output channels (filters),
g input channels that one filter sees (c / groups), x input space, y output space,
k kernel, m n k rows, columns and inner length of a matrix product, t time steps,
h heads or hidden size, q queries, d features.

A formula asks for what it needs by parameter name: an axis of its pattern, the name of
an operand (1 when present, 0 when not), an attribute of the node, or `inputs`,
`outputs` and `node` themselves. It holds no convention, no dtype and no device.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from flopwise.counts import Counts
from flopwise.dims import Dim
from flopwise.errors import ShapeMismatch, UnknownValue
from flopwise.graph import Node, Shape
from flopwise.pattern import Pattern, patterns

Rule = Callable[..., Any]
R = TypeVar("R", bound=Rule)


@dataclass(slots=True)
class Op:
    """An operator of our vocabulary.

    `count` gives Counts; `axes` the sizes of axes that no operand shows yet; `shape`
    the output shapes where a pattern cannot say them; `fold` the output values of
    constant inputs. `view` operators move no bytes; `traffic` gives (read, write)
    where they are not simply the inputs and the outputs. `gradient` tells what its backward
    computes and what of the forward it needs.
    """

    name: str
    family: str
    count: Rule
    patterns: tuple[Pattern, ...] = ()
    view: bool = False
    dtype: str | int = ""
    axes: Rule | None = None
    shape: Rule | None = None
    fold: Rule | None = None
    traffic: Rule | None = None
    gradient: Rule | None = None


OPS: dict[str, Op] = {}
MISFITS = (
    AttributeError, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError, AssertionError,
)  # fmt: skip


def op(
    name: str, text: str = "", *, view: bool = False, dtype: str | int = ""
) -> Callable[[R], R]:  # fmt: skip
    """Enter the decorated formula under `name`, with the pattern of its operands. Results have
    the type of the first operand, of the one at the place `dtype`, or `dtype` itself."""

    def enter(count: R) -> R:
        family = count.__module__.rpartition(".")[2]
        OPS[name] = Op(name, family, count, patterns(text) if text else (), view, dtype)
        return count

    return enter


def rule(kind: str, *names: str) -> Callable[[R], R]:
    """Enter the decorated function as the axes, shape, fold, traffic or gradient rule."""

    def enter(function: R) -> R:
        for name in names:
            setattr(OPS[name], kind, function)
        return function

    return enter


def find(name: str) -> Op | None:
    """The entry of an operator, or None: it is unknown."""
    _load()
    return OPS.get(name)


@lru_cache(maxsize=1)
def _load() -> None:
    """Once, and not when something is entered already: one family may be imported alone."""
    from flopwise.plugins import load_all

    load_all("ops")


def known() -> Iterator[Op]:
    """Every operator, by name."""
    find("")
    return iter(sorted(OPS.values(), key=lambda entry: entry.name))


def call(function: Rule, known: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    """Call a rule with what its parameters name: from `known`, else from `attrs`.

    Raises ShapeMismatch when one of them is nowhere, or when the rule cannot be applied to
    what it is given: an axis that is not there, an operand that is absent.
    """
    arguments = {}
    for name, default in parameters(function):
        if name in known:
            arguments[name] = known[name]
        elif name in attrs:
            arguments[name] = attrs[name]
        elif default is inspect.Parameter.empty:
            raise ShapeMismatch(f"'{name}' is not given and follows from no operand")
    try:
        return function(**arguments)
    except MISFITS as error:
        absent = "'NoneType' object has no" in str(error)
        reason = "a needed one is absent" if absent else error
        raise ShapeMismatch(f"operands do not fit ({reason})") from error


_PARAMETERS: dict[Rule, tuple[tuple[str, Any], ...]] = {}


def parameters(function: Rule) -> tuple[tuple[str, Any], ...]:
    """The parameter names of a rule with their defaults."""
    if function not in _PARAMETERS:
        signature = inspect.signature(function).parameters.values()
        _PARAMETERS[function] = tuple((p.name, p.default) for p in signature)
    return _PARAMETERS[function]


def layout(node: Node, entry: Op) -> Pattern | None:
    """The spelling that fits a node: its operator's, or its own where a format lays out
    its operands otherwise."""
    spelled = patterns(node.attrs["pattern"]) if "pattern" in node.attrs else entry.patterns
    if len(spelled) < 2:
        return spelled[0] if spelled else None
    sides = shapes(node.inputs), shapes(node.outputs)
    return next((p for p in spelled if p.fits(*sides)), spelled[0])


def bind(node: Node, entry: Op) -> dict[str, Any]:
    """What a formula may ask for. Raises ShapeMismatch where operands do not fit."""
    axes: dict[str, Any] = {"inputs": node.inputs, "outputs": node.outputs, "node": node}
    spelled = layout(node, entry)
    if spelled is not None:
        axes |= _bound(spelled, shapes(node.inputs), shapes(node.outputs))
    return axes


@lru_cache(maxsize=4096)
def _bound(spelled: Pattern, *sides: tuple[Shape | None, ...]) -> Mapping[str, Any]:
    """The layers of a network repeat: few of their shapes differ."""
    return spelled.bind(*sides)


def shapes(tensors: Sequence[Any]) -> tuple[Shape | None, ...]:
    """The shapes of tensors; None for the absent and the unknown."""
    return tuple([t.shape if t is not None and t.known else None for t in tensors])


_COUNTED: dict[Any, Any] = {}
MISSING = object()
MOST = 4096  # counts that are kept


def count(node: Node) -> Counts | None:
    """The counts of one node; None when its operator, one of its shapes or a value that
    its formula asks for is unknown."""
    entry = find(node.op)
    alike = _alike(node, entry)
    found: Any = MISSING if alike is None else _COUNTED.get(alike, MISSING)
    if found is MISSING:
        found = _counted(node, entry)
        if len(_COUNTED) >= MOST:
            _COUNTED.clear()
        if alike is not None:
            _COUNTED[alike] = found
    return found


def _alike(node: Node, entry: Op | None) -> Any:
    """What nodes of equal counts have in common: the layers of a network repeat. None where
    a formula may look at more: at values, at names."""
    if entry is None or entry.family == "optimizers":
        return None
    inputs, names = [], set()
    for tensor in node.inputs:
        if tensor is not None and tensor.value is not None:
            return None
        names.add(tensor and tensor.name)
        inputs.append(tensor and (tensor.shape, tensor.dtype, tensor.stored))
    outputs = [(t.shape, t.dtype, t.stored) for t in node.outputs]
    attrs = tuple(node.attrs.items())
    key = node.op, entry.count, len(names), tuple(inputs), tuple(outputs), attrs
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _counted(node: Node, entry: Op | None) -> Counts | None:
    if entry is None or not resolved(node):
        return None if entry is None or not entry.view else Counts()  # views cost nothing
    axes = bind(node, entry)
    try:
        counts: Counts | None = Counts() if empty(node) else call(entry.count, axes, node.attrs)
    except UnknownValue:
        return None
    return None if counts is None else counts.moving(*traffic(node, entry))


def empty(node: Node) -> bool:
    """Whether there is nothing to compute on: an axis of size 0 in the result or the data."""
    for tensor in (*node.outputs[:1], *node.inputs[:1]):
        if tensor is not None and 0 in tensor.sizes:
            return True
    return False


def constant(inputs: Sequence[Any], i: int) -> list[Any]:
    """The elements of an operand that must be constant, flat, as Python numbers and sizes.

    Raises UnknownValue when the operand is absent or its value is not known.
    """
    tensor = inputs[i] if i < len(inputs) else None
    if tensor is None or tensor.value is None:
        raise UnknownValue(f"operand {i} ({tensor.name if tensor else 'absent'}) is no constant")
    return list(tensor.value.ravel().tolist())


def resolved(node: Node) -> bool:
    """Whether every shape that the node touches is known."""
    for tensor in (*node.inputs, *node.outputs):
        if tensor is not None and not tensor.known:
            return False
    return True


def traffic(node: Node, entry: Op) -> tuple[Dim, Dim]:
    """Bytes read and written: each operand once, unless the operator says otherwise. What
    one format moves may be a view in another, which says so with the attribute `view`."""
    if entry.view or node.attrs.get("view"):
        return 0, 0
    if entry.traffic is not None:
        read, write = call(entry.traffic, bind(node, entry), node.attrs)
        return read, write
    unique = {t.name: t for t in node.inputs if t is not None}
    read = sum([t.bytes for t in unique.values()])
    return read, sum([t.bytes for t in node.outputs])
