"""Sizes and formulas as mathematics: `n*((H + 1)//2)**2` becomes n⌊(H+1)/2⌋²."""

from __future__ import annotations

import ast

# How tight each operator binds; a looser one inside a tighter one needs parentheses.
SUM, PRODUCT, POWER, ATOM = range(4)


def latex(text: str) -> str:
    """An expression that Python could read, as LaTeX mathematics."""
    return _latex(ast.parse(text, mode="eval").body)[0]


def _latex(node: ast.expr) -> tuple[str, int]:
    if isinstance(node, ast.BinOp):
        return _binary(node)
    if isinstance(node, ast.UnaryOp):
        return f"-{_inside(node.operand, PRODUCT)}", SUM
    if isinstance(node, ast.Call):
        operands = ", ".join(_latex(argument)[0] for argument in node.args)
        return f"\\{ast.unparse(node.func)}({operands})", ATOM
    if isinstance(node, ast.Name):
        return (node.id if len(node.id) == 1 else _word(node.id)), ATOM
    return ast.unparse(node), ATOM


def _binary(node: ast.BinOp) -> tuple[str, int]:
    left, right = node.left, node.right
    if isinstance(node.op, (ast.Add, ast.Sub)):
        sign = "+" if isinstance(node.op, ast.Add) else "-"
        return f"{_inside(left, SUM)} {sign} {_inside(right, PRODUCT)}", SUM
    if isinstance(node.op, ast.Mult):
        return f"{_inside(left, PRODUCT)} \\cdot {_inside(right, PRODUCT)}", PRODUCT
    if isinstance(node.op, ast.Pow):
        return f"{_inside(left, ATOM)}^{{{_latex(right)[0]}}}", POWER
    fraction = f"\\frac{{{_latex(left)[0]}}}{{{_latex(right)[0]}}}"
    if isinstance(node.op, ast.FloorDiv):
        fraction = f"\\left\\lfloor {fraction} \\right\\rfloor"
    return fraction, ATOM


def _inside(node: ast.expr, least: int) -> str:
    text, binding = _latex(node)
    return text if binding >= least else f"({text})"


def _word(name: str) -> str:
    return "\\mathit{" + name.replace("_", "\\_") + "}"
