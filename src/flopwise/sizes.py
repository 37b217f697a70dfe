"""Sizes as people write them: `12`, `N`, `past + 2*(H//4)`, `1x3xHxW`, `x=1x3x224x224`."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from flopwise.dims import FUNCTIONS, Dim, Expr, at_least, floordiv, prod, symbol
from flopwise.errors import FlopwiseError
from flopwise.graph import Shape

LARGEST = 10**9 - 1
Size = Dim | str


def parse(text: str) -> Dim:
    """Read `12`, `N` or `past + 2*(H//4)`. Raises FlopwiseError for any other text."""
    try:
        return _from_ast(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError, ZeroDivisionError):
        raise FlopwiseError(f"'{text}' is not a size; write a number, a name or 2*N + 1") from None


def parse_name(text: str) -> Dim:
    """The same, where any other text is the name of one free size, as files have them; so is
    one that no tensor could have, as `-n` or `1/2`."""
    try:
        size = positive(parse(text), text)
    except FlopwiseError:
        return symbol(text.strip())
    return symbol(text.strip()) if at_least(-1 * size, 0) else size


def parse_shape(text: str) -> Shape:
    """`1x3x224x224`, with names for free sizes; with commas, names may hold an x.

    Raises FlopwiseError for a size that is empty, not positive or of ten digits.
    """
    body = text.strip().replace("×", "x")
    if body[:1] + body[-1:] in ("[]", "()") and not set(body[1:-1]) & set("[]()"):
        body = body[1:-1]
    if not body:
        return ()
    parts = [p for p in body.split(",") if p.strip()] if "," in body else body.split("x")
    unclear = "," not in body and re.search(r"[a-z_]{2}x[a-z_]|[a-z_]x[a-z_]{2}", body)
    if unclear or not all(part.strip() for part in parts):
        raise FlopwiseError(f"'{text}' is not a shape; write 1x3x224x224 or 1,3,height,width")
    return tuple(positive(parse(part), text) for part in parts)


def positive(size: Dim, where: str) -> Dim:
    """The size itself, when a tensor could have it."""
    if isinstance(size, Fraction):
        raise FlopwiseError(f"{where}: size {size} is not a whole number")
    if isinstance(size, int) and not 0 < size <= LARGEST:
        raise FlopwiseError(f"{where}: size {size} is not between 1 and {LARGEST:,}")
    return size


def _quotient(a: Any, b: Any) -> Any:
    """Exact between numbers, as coefficients are printed; the floor of a free size."""
    if isinstance(a, Expr) or isinstance(b, Expr) or a % b == 0:
        return floordiv(a, b)
    return Fraction(a, b)


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: floordiv,
    ast.Div: _quotient,
    ast.Mod: lambda a, b: a - b * floordiv(a, b),
}


def _from_ast(node: ast.expr) -> Dim:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        return symbol(node.id)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_from_ast(node.left), _from_ast(node.right))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        power = _from_ast(node.right)
        if isinstance(power, int) and 0 <= power <= 64:
            return prod([_from_ast(node.left)] * power)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_from_ast(node.operand)
    if isinstance(node, ast.Call) and len(node.args) == 2:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in ("max", "min"):
            return FUNCTIONS[name](_from_ast(node.args[0]), _from_ast(node.args[1]))
    raise ValueError("not a size")


def shapes_of(inputs: Any) -> tuple[dict[str, Shape], Any]:
    """Shapes by name, where inputs have them; and the inputs themselves, where they hold more."""
    if inputs is None:
        return {}, None
    named = inputs if isinstance(inputs, Mapping) else {"": inputs}
    if all(isinstance(v, str) or _is_shape(v) for v in named.values()):
        return {name: _shape(shape) for name, shape in named.items()}, None
    if all(_is_shape(_stated(v)) for v in named.values()):
        return {name: tuple(value.shape) for name, value in named.items()}, inputs
    return {}, inputs


def _stated(value: Any) -> Any:
    """The shape that an array says it has; some nested ones raise when they are asked."""
    try:
        return getattr(value, "shape", None)
    except RuntimeError:
        return None


def _is_shape(value: Any) -> bool:
    sizes = isinstance(value, (tuple, list)) and not hasattr(value, "_fields")
    return sizes and all(isinstance(v, (int, str, Expr)) and not isinstance(v, bool) for v in value)


def _shape(shape: Any) -> Shape:
    return parse_shape(shape) if isinstance(shape, str) else tuple(map(size_of, shape))


def size_of(size: Size) -> Dim:
    return positive(parse(size) if isinstance(size, str) else size, "a size")


def rebatched(shapes: Mapping[str, Shape], batch: int) -> dict[str, Shape]:
    """Given shapes with another first axis."""
    return {n: (batch, *shape[1:]) if len(shape) > 1 else shape for n, shape in shapes.items()}
