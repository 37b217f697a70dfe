"""Folding: what operators make of constants, so that shape arithmetic can be followed.

Values are numpy arrays of Python objects: ints, floats, bools, and sizes with symbols,
which flow through exactly. A rule takes arrays and gives arrays; where one of its
operands is no constant, where a result would hold more than LARGEST elements, or where
symbols leave a comparison open, the node is not folded. Plain numbers are reckoned in
the type that their tensor has, as the frameworks do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from flopwise.dims import Expr
from flopwise.graph import Node, Tensor
from flopwise.ops import call, parameters, rule

Tensors = tuple[Tensor | None, ...]
Array = Any
Function = Callable[..., Any]

LARGEST = 4096
NEUTRAL = ("dtype", "dtype_like", "like", "view")


class Undecided(Exception):
    """A value that depends on what its symbols will be."""


def folds(*names: str, shaped: Iterable[str] = ()) -> Callable[[Function], Function]:
    """Enter a function of arrays as the fold rule of operators.

    It may ask for `arrays` (None for an absent operand), `inputs`, `outputs`, `node` and
    the attributes of the node, and gives one array or a list of them. A node with other
    attributes is not folded, since they may change what it means; `shaped` are those
    which the shapes of the outputs have in them already.
    """

    def enter(function: Function) -> Function:
        heard = {*NEUTRAL, *shaped, *(name for name, _ in parameters(function))}

        def fold(inputs: Tensors, outputs: tuple[Tensor, ...], node: Node) -> list[Any] | None:
            if any(t is not None and t.value is None for t in inputs) or not small(outputs):
                return None
            if not node.attrs.keys() <= heard:
                return None
            arrays = [None if t is None else plain(t) for t in inputs]
            known = {"arrays": arrays, "inputs": inputs, "outputs": outputs, "node": node}
            try:
                made = call(function, known, node.attrs)
            except Undecided:
                return None
            made = [*map(array, made if isinstance(made, list) else [made])]
            fit = all(m.size <= LARGEST and agrees(m, t) for m, t in zip(made, outputs))
            return [*map(settled, made)] if fit else None

        for name in names:
            rule("fold", name)(fold)
        return function

    return enter


def array(value: Any) -> Array:
    """An array of no axes where numpy gave a bare element."""
    import numpy

    if isinstance(value, numpy.ndarray):
        return value
    made = numpy.empty((), dtype=object)
    made[()] = value.item() if isinstance(value, numpy.generic) else value
    return made


def small(outputs: tuple[Tensor, ...]) -> bool:
    """Whether results are worth keeping; those of unknown size are judged when made."""
    sizes = [t.size for t in outputs if t.known]
    return all(isinstance(s, int) and s <= LARGEST for s in sizes)


def agrees(array: Array, tensor: Tensor) -> bool:
    """Whether a value has the shape that its tensor is known to have."""
    return not tensor.known or array.shape == tensor.shape


def plain(tensor: Tensor) -> Array:
    """The value in the numbers of its type; as objects where symbols are among them."""
    import numpy

    value = numpy.asarray(tensor.value)
    if value.dtype != object:
        return value
    if any(isinstance(v, (Expr, Fraction)) for v in value.ravel().tolist()):
        return value
    return value.astype(number_type(tensor.dtype))


def number_type(dtype: str) -> Any:
    """The numpy type that a tensor is reckoned in."""
    import numpy

    if dtype.startswith(("int", "uint")):
        return numpy.int64
    kinds: dict[str, Any] = {
        "bool": numpy.bool_, "float16": numpy.float16, "float64": numpy.float64, "string": object,
    }  # fmt: skip
    return kinds.get(dtype, numpy.float32)


def settled(array: Array) -> Array:
    """An array of Python numbers and sizes; whole fractions become ints."""
    import numpy

    made = numpy.empty(numpy.shape(array), dtype=object)
    flat = numpy.asarray(array).ravel().tolist()
    made.reshape(-1)[:] = [_whole(v) for v in flat]
    return made


def _whole(value: Any) -> Any:
    if isinstance(value, Fraction) and value.denominator == 1:
        return value.numerator
    if isinstance(value, Expr):
        return Expr({m: _whole(c) for m, c in value.terms.items()})
    return value


def symbolic(*arrays: Array) -> bool:
    """Whether any of the arrays holds objects."""
    return any(a is not None and a.dtype == object for a in arrays)


def is_integer(tensor: Tensor | None) -> bool:
    """Whether the elements of a tensor are integers."""
    return tensor is not None and tensor.dtype.startswith(("int", "uint"))


def ints(array: Array) -> list[int]:
    """The elements, which must be plain numbers here. Raises Undecided."""
    values = array.ravel().tolist()
    if any(isinstance(v, (Expr, Fraction)) for v in values):
        raise Undecided
    return [int(v) for v in values]
