"""Small networks written out by hand, for tests of what comes after the frontends."""

from __future__ import annotations

import numpy

from flopwise.dims import Dim
from flopwise.graph import Graph, Node, Tensor
from flopwise.passes.infer import infer
from flopwise.plugins import load
from flopwise.profile import Profile, profile


def small(
    batch: Dim = 1, height: Dim = 32, unknown: bool = True, convention: str = "flops"
) -> Profile:
    """Two blocks, a body that runs ten times, a head; names full of special characters."""
    image = Tensor("image", (batch, 3, height, height), role="input")
    nodes, x = [], image
    for i in range(2):
        x = _conv(nodes, x, ("stem", str(i), "conv"), 8)
        x = _add(nodes, "relu", x, ("stem", str(i), "act"))
    nodes.append(_loop(x))
    if unknown:
        shape = (batch, 8, height, height)
        odd = Tensor("odd", shape)
        nodes.append(
            Node(
                "unknown", (x,), (odd,), name="a|b_c", scope=("head", "a|b_c"), origin="acme::Foo_1"
            )
        )
        x = odd
    x = _add(nodes, "global_avg_pool", x, ("head", "pool"))
    x = _add(nodes, "flatten", x, ("head", "50% <flat> & {so}"))
    weight, bias = Tensor("w", (10, 8), role="weight"), Tensor("b", (10,), role="weight")
    out = Tensor("classes")
    nodes.append(
        Node(
            "linear", (x, weight, bias), (out,), name="head/fc", scope=("head", "fc"), origin="Gemm"
        )
    )
    graph = Graph((image,), (out,), tuple(nodes), "small_net", "graph")
    return profile(infer(graph), load("conventions", convention))


def _loop(x: Tensor) -> Node:
    trips = Tensor("trips", (), "int64", "constant", value=numpy.array(10))
    step, on, carried = Tensor("step", (), "int64"), Tensor("on", (), "bool"), Tensor("carried")
    body: list[Node] = []
    out = _conv(body, carried, ("loop", "conv_1"), 8)
    graph = Graph((step, on, carried), (on, out), tuple(body))
    return Node("loop", (trips, None, x), (Tensor("looped"),), {"body": graph})


def _conv(nodes: list[Node], x: Tensor, scope: tuple[str, ...], filters: int) -> Tensor:
    name = "/".join(scope)
    weight, out = Tensor(name + ".weight", role="weight"), Tensor(name + ".out")
    attrs = {"f": filters, "k": (3, 3), "pad": 1, "stride": 1}
    nodes.append(Node("conv", (x, weight), (out,), attrs, name, scope, "Conv"))
    return out


def _add(nodes: list[Node], op: str, x: Tensor, scope: tuple[str, ...]) -> Tensor:
    name = "/".join(scope)
    out = Tensor(name + ".out")
    nodes.append(Node(op, (x,), (out,), {}, name, scope, op.title()))
    return out
