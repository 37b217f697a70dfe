"""Sequences of tensors and texts: nothing is computed but a few n-gram weights.

A sequence of tensors of one shape is one tensor, with the sequence as its first axis.
Where elements differ in an axis that axis is open.
"""

from __future__ import annotations

from typing import Any

from flopwise import arrays as numpy
from flopwise.counts import ZERO, Counts
from flopwise.dims import Dim, ceildiv
from flopwise.errors import UnknownValue
from flopwise.graph import Shape, Tensor
from flopwise.ops import constant, op, rule
from flopwise.ops.broadcasting import broadcast
from flopwise.ops.movement import entered

Tensors = tuple[Tensor, ...]


@entered(True, "sequence")
def sequence(inputs: Tensors) -> list[Shape]:
    """Of the operands; with none, an empty one."""
    if not inputs:
        return [(0,)]
    return [(len(inputs), *_common([t.sizes for t in inputs]))]


def _common(shapes: list[Shape]) -> Shape:
    """The one shape of all. Raises UnknownValue: a tensor has no axes of several sizes."""
    if any(s != shapes[0] for s in shapes):
        raise UnknownValue("the elements of a sequence differ in shape")
    return shapes[0]


@entered(True, "sequence_insert")
def sequence_insert(inputs: Tensors) -> list[Shape]:
    """A sequence, a tensor, and where to."""
    (length, *rest), element = inputs[0].sizes, inputs[1].sizes
    return [(length + 1, *_common([tuple(rest), element] if length != 0 else [element]))]


@entered(True, "sequence_erase")
def sequence_erase(inputs: Tensors) -> list[Shape]:
    length, *rest = inputs[0].sizes
    return [(length - 1, *rest)]


@op("sequence_length", view=True, dtype="int64")
@op("has_element", view=True, dtype="bool")
def counted() -> Counts:
    """How many there are; whether there is one."""
    return ZERO


@rule("shape", "sequence_length", "has_element")
def scalar() -> list[Shape]:
    return [()]


@rule("fold", "sequence_length")
def fold_length(inputs: Tensors) -> Any:
    return [numpy.array(inputs[0].sizes[0], dtype=object)] if inputs[0].known else None


@rule("fold", "has_element")
def fold_element(inputs: Tensors) -> Any:
    """An operand that is absent has none."""
    present = bool(inputs) and inputs[0] is not None
    return [numpy.array(present, dtype=object)]


@entered(False, "sequence_concat")
def sequence_concat(inputs: Tensors, axis: int = 0, new: bool = False) -> list[Shape]:
    """Its elements joined along an axis, or stacked on a `new` one."""
    length, *rest = inputs[0].sizes
    place = axis + len(rest) + int(new) if axis < 0 else axis
    if new:
        return [(*rest[:place], length, *rest[place:])]
    rest[place] = rest[place] * length
    return [tuple(rest)]


@entered(True, "sequence_split")
def sequence_split(inputs: Tensors, axis: int = 0, keep: bool = True) -> list[Shape]:
    """Into parts of the sizes of the second operand (a scalar: of that size), else of one."""
    shape = list(inputs[0].sizes)
    axis %= len(shape)
    if len(inputs) < 2 or inputs[1] is None:
        count = shape[axis]
        return [(count, *shape[:axis], *((1,) if keep else ()), *shape[axis + 1 :])]
    sizes = constant(inputs, 1)
    if inputs[1].sizes == ():
        return [(*_even(shape[axis], sizes[0]), *_replaced(shape, axis, sizes[0]))]
    (size,) = _common([(s,) for s in sizes])
    return [(len(sizes), *_replaced(shape, axis, size))]


def _even(whole: Dim, part: Dim) -> Shape:
    if not isinstance(whole, int) or not isinstance(part, int) or whole % part:
        raise UnknownValue("the elements of a sequence differ in shape")
    return (ceildiv(whole, part),)


def _replaced(shape: list[Dim], axis: int, size: Dim) -> list[Dim]:
    return [*shape[:axis], size, *shape[axis + 1 :]]


@entered(True, "text_concat")
def text_concat(inputs: Tensors) -> list[Shape]:
    return [broadcast(*(t.sizes for t in inputs))]


@op("text_match", view=True, dtype="bool")
def text_match() -> Counts:
    """Whether each text fits an expression: no arithmetic."""
    return ZERO


@rule("shape", "text_match")
def matched(inputs: Tensors) -> list[Shape]:
    return [inputs[0].sizes]


@entered(True, "text_normalize")
def text_normalize(inputs: Tensors, drops: bool = False) -> list[Shape]:
    if drops:
        raise UnknownValue("how many words are dropped is data")
    return [inputs[0].sizes]


@entered(True, "text_split")
def text_split(inputs: Tensors, most: Any = None) -> list[Shape]:
    """Parts of each text, and how many; `most` stands for the greatest number, which is data."""
    if most is None:
        raise UnknownValue("how many parts a text has is data")
    return [(*inputs[0].sizes, most), inputs[0].sizes]


@op("ngrams")
def ngrams(outputs: Tensors, weighted: Any = False) -> Counts:
    """n-grams looked up and counted; `weighted` multiplies each count."""
    return Counts(mul=outputs[0].size if weighted else 0)


@rule("shape", "ngrams")
def ngrams_shape(inputs: Tensors, size: Dim) -> list[Shape]:
    return [(*inputs[0].sizes[:-1], size)]


@entered(True, "image_decode")
def image_decode(inputs: Tensors, size: Any = None, channels: int = 3) -> list[Shape]:
    """The picture in a file: [*size, channels]; its size is data."""
    if size is None:
        raise UnknownValue("the size of a picture is in its bytes")
    return [(*size, channels)]
