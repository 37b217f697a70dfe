"""The formula behind each number of a layer: in letters, in numbers, and its result.

Nothing is written twice: the operator's own formula is run on letters in place of sizes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flopwise import dims, ops
from flopwise.conventions import Convention
from flopwise.counts import FIELDS, Counts
from flopwise.dims import Dim, Expr, symbol
from flopwise.errors import UnknownName, nearest
from flopwise.graph import Node, Tensor
from flopwise.ops import Op
from flopwise.pattern import Operand
from flopwise.profile import Profile, Row

# Attributes that are sizes, and so may be shown as a letter.
SIZES = ("k", "groups", "size", "over", "hidden", "layers", "projection", "heads", "modulated")

WHAT = {
    "mac": "MACs", "dot": "dot products", "add": "additions", "mul": "multiplications",
    "div": "divisions", "cmp": "comparisons", "exp": "exponentials", "log": "logarithms",
    "sqrt": "square roots", "trig": "sines and cosines", "erf": "error functions",
    "bit": "roundings and logic",
}  # fmt: skip


_LETTER = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Formula:
    """One number: what it counts, its formula in letters, in numbers, and its result."""

    what: str
    letters: str
    numbers: str
    result: Any


@dataclass(frozen=True)
class Explanation:
    """A layer: its operator, what the letters stand for, and a formula for each number."""

    name: str
    op: str
    pattern: str
    meaning: str
    letters: Mapping[str, Dim]
    formulas: tuple[Formula, ...]


def explain(profile: Profile, layer: str | None = None) -> list[Explanation]:
    """Explain one layer (or a module: all its layers), or every layer that costs something.

    Raises UnknownName, with the nearest names.
    """
    rows = [r for r in profile.rows if layer is None or _within(r.node, layer)]
    if not rows:
        names = [r.node.name for r in profile.rows]
        raise UnknownName(f"no layer '{layer}'; {nearest(layer or '', names)}")
    if layer is None:
        rows = [r for r in rows if r.total.ops != 0 or r.params != 0 or r.counts is None]
    return [explain_row(profile, row) for row in rows]


def _within(node: Node, layer: str) -> bool:
    path = tuple(re.split(r"[/.]", layer))
    return node.name == layer or node.scope[: len(path)] == path


def explain_row(profile: Profile, row: Row) -> Explanation:
    """Explain one operator."""
    node = row.node
    entry = ops.find(node.op)
    if entry is None or row.counts is None:
        meaning = f"{node.origin or node.op} has no formula, or a size that it needs is not known"
        return Explanation(node.name, node.op, "", meaning, {}, ())
    lettered, values = spell(node, entry)
    formulas = [*_params(lettered, values, row), *_counts(lettered, values, row)]
    reading = _reading(profile.convention, lettered, lettered.counts(), values, row)
    formulas += [] if reading is None else [reading]
    spelled = ops.layout(node, entry)
    meaning = inspect.getdoc(entry.count) or ""
    text = spelled.text if spelled else ""
    used = {letter for f in formulas for letter in _LETTER.findall(f.letters)}
    shown = {k: v for k, v in values.items() if k in used}
    return Explanation(node.name, node.op, text, meaning, shown, tuple(formulas))


def readings(conventions: Iterable[Convention], row: Row) -> list[Formula | None]:
    """One operator's number in each of several conventions; None where it is nothing."""
    entry = ops.find(row.node.op)
    if entry is None or row.counts is None:
        return [None for _ in conventions]
    lettered, values = spell(row.node, entry)
    counts = lettered.counts()
    return [_reading(c, lettered, counts, values, row) for c in conventions]


@dataclass(frozen=True)
class Lettered:
    """A node with letters for sizes: what its formula may ask for, and its attributes."""

    node: Node
    entry: Op
    known: Mapping[str, Any]
    attrs: Mapping[str, Any]

    def counts(self) -> Counts:
        counts: Counts = ops.call(self.entry.count, self.known, self.attrs)
        return counts


def spell(node: Node, entry: Op) -> tuple[Lettered, dict[str, Dim]]:
    """Put letters in place of sizes; also what each letter stands for."""
    values: dict[str, Dim] = {}
    plain = Lettered(node, entry, ops.bind(node, entry), node.attrs)
    attrs = {k: _letter(k, v, values) if k in SIZES else v for k, v in node.attrs.items()}
    if ops.layout(node, entry) is None:
        node = _lettered_tensors(node, values)
        known = ops.bind(node, entry)
    else:
        flags = {o.name for o in ops.layout(node, entry).inputs}  # type: ignore[union-attr]
        known = ops.bind(node, entry)
        for name, size in known.items():
            if name not in ("inputs", "outputs", "node") and name not in flags:
                known[name] = _letter(name, size, values)
        filled = _filled(node, entry, known)
        known |= {"node": filled, "inputs": filled.inputs, "outputs": filled.outputs}
    lettered = Lettered(node, entry, known, attrs)
    place = [name for name, _ in ops.parameters(entry.count)]
    rank = {
        letter: place.index(stem)
        for letter in values
        if (stem := letter.rstrip("0123456789")) in place
    }
    values = dict(sorted(values.items(), key=lambda item: rank.get(item[0], len(place))))
    try:
        counts = lettered.counts()
    except Exception:  # a formula that needs numbers, say to loop over them
        counts = None
    if counts is None:
        return plain, {}
    return lettered, values


def _letter(name: str, size: Any, values: dict[str, Dim]) -> Any:
    if isinstance(size, bool) or size is None or size == 0:  # 0: there is no such thing
        return size
    if isinstance(size, tuple):
        return tuple(_letter(f"{name}{i}", s, values) for i, s in enumerate(size, 1))
    if isinstance(size, (int, Expr)):
        values[name] = size
        return symbol(name)
    return size


def _filled(node: Node, entry: Op, axes: Mapping[str, Any]) -> Node:
    """The node with the shapes that its pattern spells, in letters."""
    spelled = ops.layout(node, entry)
    assert spelled is not None

    def tensor(operand: Operand, t: Tensor | None) -> Tensor | None:
        free = any(axis.lstrip("*") not in axes and not axis.isdigit() for axis in operand.axes)
        return t if t is None or free else replace(t, shape=spelled.fill(operand, axes))

    def side(operands: Sequence[Operand], tensors: Sequence[Tensor | None]) -> Any:
        return (*map(tensor, operands, tensors), *tensors[len(operands) :])

    inputs = side(spelled.inputs, node.inputs)
    return replace(node, inputs=inputs, outputs=side(spelled.outputs, node.outputs))


def _lettered_tensors(node: Node, values: dict[str, Dim]) -> Node:
    """Letters by place, counted from the last axis: n c h w for images, d1, d2 … else."""

    def tensor(t: Tensor | None, mark: str) -> Tensor | None:
        if t is None or not t.shape:
            return t
        names = "nchw" if len(t.shape) == 4 else [f"d{i + 1}" for i in range(len(t.shape))]
        shape = []
        for name, size in zip(names, t.shape):
            if size != 1 and values.setdefault(name, size) != size:  # type: ignore[arg-type]
                name = name + mark
                values[name] = size  # type: ignore[assignment]
            shape.append(size if size == 1 else symbol(name))
        return replace(t, shape=tuple(shape))

    outputs = tuple(tensor(t, "_out") for t in node.outputs)
    inputs = tuple(tensor(t, f"_{i}") for i, t in enumerate(node.inputs, 1))
    return replace(node, inputs=inputs, outputs=outputs)  # type: ignore[arg-type]


def _params(lettered: Lettered, values: Mapping[str, Dim], row: Row) -> Iterator[Formula]:
    spelled = ops.layout(lettered.node, lettered.entry)
    sizes, letters = [t.size for t in lettered.node.weights], []
    for operand, tensor in zip(spelled.inputs if spelled else (), lettered.node.inputs):
        if tensor is not None and tensor.role == "weight" and "*_" not in operand.axes:
            axes = {**dict.fromkeys(operand.axes, 1), **lettered.known}
            letters.append(dims.prod(spelled.fill(operand, axes)))  # type: ignore[union-attr]
    if not sizes:
        return
    if len(letters) != len(sizes):
        letters = sizes
    result = sum((t.size for t in row.node.weights), 0)
    yield _formula("params", sum(letters, 0), values, result)


def _counts(lettered: Lettered, values: Mapping[str, Dim], row: Row) -> Iterator[Formula]:
    letters = lettered.counts()
    for kind in FIELDS:
        amount = getattr(row.counts, kind)
        if kind in WHAT and amount != 0:
            yield _formula(WHAT[kind], getattr(letters, kind), values, amount)


def _reading(
    convention: Convention, lettered: Lettered, counts: Counts, values: Mapping[str, Dim], row: Row
) -> Formula | None:
    result = convention.read(row.node, row.counts)  # type: ignore[arg-type]
    if result == 0:
        return None
    formula = convention.formula(row.node.op)
    try:
        if formula is None:
            letters = counts.weigh(convention.weights)
        else:
            letters = ops.call(formula, {**lettered.known, "counts": counts}, lettered.attrs)
    except TypeError:  # an override that compares sizes, which letters cannot
        letters = result
    return _formula(convention.name, letters, values, result)


def _formula(what: str, letters: Any, values: Mapping[str, Dim], result: Any) -> Formula:
    is_symbolic = isinstance(letters, Expr)
    text = dims.render(letters, list(values), " · ") if is_symbolic else str(letters)
    numbers = _LETTER.sub(lambda m: _value(values.get(m[0], m[0])), text)
    return Formula(what, _raised(text), _raised(numbers), result)


def _raised(text: str) -> str:
    return text.replace("**2", "²").replace("**3", "³")


def _value(size: Any) -> str:
    """A size in place of its letter; a sum in parentheses."""
    return f"({size})" if isinstance(size, Expr) and len(size.terms) > 1 else str(size)
