"""Control flow of TFLite: branches, loops and calls of other sub-graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flopwise.frontends.tflite.native import Native, lowers
from flopwise.graph import Graph, Node, Tensor


@lowers("IF")
def if_(n: Native) -> None:
    branches = [_called(n, n.options[k], n.inputs[1:]) for k in ("then_subgraph", "else_subgraph")]
    n.emit("if", n.given(0), branches=tuple(branches))


def _called(n: Native, index: int, operands: Sequence[Tensor | None]) -> Graph:
    """A sub-graph whose inputs are tensors of ours."""
    graph = n.subgraph(index)
    return replace(graph, inputs=(), nodes=(*_handed(operands, graph.inputs), *graph.nodes))


def _handed(operands: Sequence[Tensor | None], inputs: Sequence[Tensor]) -> list[Node]:
    """What links the operands of a call to the inputs of the callee: views, costless."""
    pairs = [(a, b) for a, b in zip(operands, inputs) if a is not None]
    return [Node("identity", (a,), (b,), {}, b.name, (b.name,), "operand") for a, b in pairs]


@lowers("CALL", "STABLEHLO_COMPOSITE")
def call(n: Native) -> None:
    """The callee's nodes, in place."""
    index = n.options["subgraph" if n.op == "CALL" else "decomposition"]
    graph = _called(n, index, n.inputs)
    n.append(*graph.nodes, *_handed(graph.outputs, n.outputs))


@lowers("CALL_ONCE")
def call_once(n: Native) -> None:
    """Initialises variables before the first run: no part of a run."""


@lowers("WHILE")
def while_(n: Native) -> None:
    """The condition and the body, as often as a counter says that they run."""
    test, body = n.subgraph(n.options["cond_subgraph"]), n.subgraph(n.options["body_subgraph"])
    step, go = Tensor(f"{n.name}/step", (), "int64"), Tensor(f"{n.name}/go", (), "bool")
    nodes = (*_handed(body.inputs, test.inputs), *test.nodes, *body.nodes)
    trips = _trips(n, test, body)
    limit = None if trips is None else _number(f"{n.name}/trips", trips)
    kept = go if trips is not None else (*test.outputs, go)[0]
    inside = Graph((step, go, *body.inputs), (kept, *body.outputs), nodes, body.name, "tflite")
    n.emit("loop", limit, None, *n.inputs, body=inside)


def _number(name: str, value: int) -> Tensor:
    import numpy

    return Tensor(name, (), "int64", "constant", value=numpy.array(value))


def _trips(n: Native, test: Graph, body: Graph) -> int | None:
    """How often the body runs, where the condition is `counter < limit` of constants and the
    body adds a constant to the counter; None where it is anything else."""
    made = {t.name: node for node in test.nodes for t in node.outputs}
    last = made.get(test.outputs[0].name) if test.outputs else None
    both = [made.get(t.name) for t in last.inputs if t] if last and last.op == "and" else [last]
    places = {t.name: i for i, t in enumerate(test.inputs)}
    trips = [_until(n, node, body, places) for node in both]
    return min(trips) if None not in trips else None  # type: ignore[type-var]


def _until(n: Native, node: Node | None, body: Graph, places: dict[str, int]) -> int | None:
    """How often one comparison holds."""
    if node is None or node.op not in ("less", "less_equal") or len(node.inputs) != 2:
        return None
    counter = places.get(node.inputs[0].name if node.inputs[0] else "")
    if counter is None:
        return None
    limit, start = _handed_on(n, body, node.inputs[1], places), _constant(n.input(counter))
    step = _stride(body, counter)
    if start is None or limit is None or step is None or step <= 0:
        return None
    return max(-(-(limit + (node.op == "less_equal") - start) // step), 0)


def _handed_on(n: Native, body: Graph, bound: Tensor | None, places: dict[str, int]) -> int | None:
    """The value of a bound: a constant, or an operand that the body hands on as it is."""
    place = places.get(bound.name) if bound is not None else None
    if place is None:
        return _constant(bound)
    return _constant(n.input(place)) if body.outputs[place] == body.inputs[place] else None


def _stride(body: Graph, counter: int) -> int | None:
    """What the body adds to its counter."""
    made = {t.name: node for node in body.nodes for t in node.outputs}
    node = made.get(body.outputs[counter].name)
    if node is None or node.op != "add" or len(node.inputs) != 2:
        return None
    mine = body.inputs[counter].name
    others = [t for t in node.inputs if t is not None and t.name != mine]
    return _constant(others[0]) if len(others) == 1 else None


def _constant(tensor: Tensor | None) -> Any:
    value = None if tensor is None else tensor.value
    return int(value.ravel()[0]) if value is not None and value.size == 1 else None
