"""Graphs written as text, for tests of passes.

x: 1,3,8,8                              an input
c = conv x w:8,3,3,3 pad=1              an operator: operands, weights with shapes, attributes
a, b = split c axis=1                   two results
-> b                                    the outputs (else the last result)
"""

from __future__ import annotations

import ast
from typing import Any

from flopwise.graph import Graph, Node, Tensor
from flopwise.passes.infer import infer


def written(text: str) -> Graph:
    """The graph, with shapes inferred."""
    known: dict[str, Tensor] = {}
    nodes: list[Node] = []
    outputs: tuple[Tensor, ...] = ()
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("->"):
            outputs = tuple(known[name] for name in line[2:].split())
        elif "=" not in line.split(":")[0]:
            name, _, sizes = line.partition(":")
            known[name] = Tensor(name, _shape(sizes), role="input")
        else:
            nodes.append(_node(line, known))
            outputs = nodes[-1].outputs[:1]
    inputs = tuple(t for t in known.values() if t.role == "input")
    return infer(Graph(inputs, outputs, tuple(nodes), "written"))


def _node(line: str, known: dict[str, Tensor]) -> Node:
    left, _, right = line.partition(" = ")
    op, *words = right.split()
    attrs = {k: ast.literal_eval(v) for k, _, v in (w.partition("=") for w in words if "=" in w)}
    operands: list[Any] = [_operand(w, known) for w in words if "=" not in w]
    results = tuple(Tensor(name.strip()) for name in left.split(","))
    known.update((t.name, t) for t in results)
    return Node(op, tuple(operands), results, attrs, left)


def _operand(word: str, known: dict[str, Tensor]) -> Tensor | None:
    if word == "_":
        return None
    name, colon, sizes = word.partition(":")
    if colon:
        known[name] = Tensor(name, _shape(sizes), role="weight")
    return known[name]


def _shape(sizes: str) -> tuple[int, ...]:
    return tuple(int(s) for s in sizes.split(",") if s.strip())
