"""Single layers with all shapes given, read in a convention."""

from __future__ import annotations

from typing import Any

from flopwise import plugins
from flopwise.graph import Graph, Node, Tensor
from flopwise.profile import profile


def layer(op: str, x: Any, *weights: Any, y: Any = None, **attrs: Any) -> Node:
    """An operator on data of shape `x` (a list: several), with weights, giving shape `y`."""
    shapes = x if isinstance(x, list) else [x]
    data = [Tensor(f"x{i}", shape) for i, shape in enumerate(shapes)]
    learned = [
        None if shape is None else Tensor(f"w{i}", shape, role="weight")
        for i, shape in enumerate(weights)
    ]
    results = y if isinstance(y, list) else [shapes[0] if y is None else y]
    outputs = [Tensor(f"y{i}", shape) for i, shape in enumerate(results)]
    return Node(op, (*data, *learned), tuple(outputs), attrs)


def value(convention: str, *nodes: Node) -> Any:
    """The number of these layers together; the first axis of the first one's data is the batch."""
    graph = Graph(tuple(nodes[0].inputs[:1]), nodes[-1].outputs, nodes)  # type: ignore[arg-type]
    return profile(graph, plugins.load("conventions", convention)).value()
