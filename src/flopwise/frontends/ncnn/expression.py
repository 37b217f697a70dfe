"""Sizes that ncnn works out from the sizes of blobs: "-1,*(0h,2),+(1c,2)".

https://github.com/Tencent/ncnn/blob/master/docs/developer-guide/expression.md
"""

from __future__ import annotations

import re
from typing import Any

from flopwise import arrays as numpy
from flopwise.errors import UnreadableModel
from flopwise.frontends.ncnn.native import Native, NotSaid
from flopwise.graph import Tensor

Term = Any  # a text, or an operator with its terms

OPERATORS = {"+": "add", "-": "sub", "*": "mul", "//": "div", "max": "max", "min": "min"}
OUTER = {1: "w", 2: "hw", 3: "chw", 4: "cdhw"}  # the axes of a blob, outermost first

_WORD = re.compile(r"[(),]|[^(),\s]+")


def sizes(text: str) -> list[Term]:
    """The terms of a list. Raises UnreadableModel for what is none."""
    words = _WORD.findall(text)[::-1]
    try:
        terms = _listed(words)
    except (IndexError, RecursionError):
        words = ["no end"]
    if words:
        raise UnreadableModel(f"'{text[:40]}' is no list of sizes")
    return terms


def _listed(words: list[str]) -> list[Term]:
    """Terms up to the first word that does not go on with the list."""
    terms = [_term(words)]
    while words and words[-1] == ",":
        words.pop()
        terms.append(_term(words))
    return terms


def _term(words: list[str]) -> Term:
    word = words.pop()
    if word in "()," or not words or words[-1] != "(":
        return word
    words.pop()
    operands = _listed(words)
    return (word, *operands) if words.pop() == ")" else word


def computed(n: Native, terms: list[Term], part: str) -> Tensor:
    """One tensor of all sizes, made by operators on the shapes of the bottoms."""
    try:
        made = [_made(n, term, f"{part}{i}", whole=True) for i, term in enumerate(terms)]
    except RecursionError:
        raise NotSaid from None
    return n.emit("concat", *made, part=part, axis=0)


def _made(n: Native, term: Term, part: str, whole: bool = False) -> Tensor:
    """`whole`: a fraction would be cut off right here, as no other place does it."""
    if isinstance(term, str):
        return _size(n, term, part)
    name, *operands = term
    if name in ("trunc", "floor") and len(operands) == 1:
        return _made(n, operands[0], part, whole=True)
    op = "div" if name == "/" and whole else OPERATORS.get(name)
    if op is None or len(operands) != 2:
        raise NotSaid
    made = [_made(n, operand, f"{part}{i}") for i, operand in zip("ab", operands)]
    return n.emit(op, *made, part=part, dtype="int64")


def _size(n: Native, word: str, part: str) -> Tensor:
    """A number, or the axis of a bottom: 0w. An axis that a blob does not have is 1."""
    value, found = 1, re.fullmatch(r"(\d)([whdc])", word)
    if found:
        blob, axis = int(found[1]), found[2]
        if blob >= len(n.inputs):
            raise NotSaid
        place = OUTER[n.ranks[blob]].find(axis) + 1
        if place:
            shape = n.inputs[blob]
            return n.emit("shape_of", shape, part=part, start=place, end=place + 1, dtype="int64")
    elif re.fullmatch(r"[+-]?\d{1,10}", word):
        value = int(word)
    else:
        raise NotSaid
    array = numpy.array([value], dtype=object)
    return Tensor(f"{n.name}/{part}", (1,), "int64", "constant", value=array)
