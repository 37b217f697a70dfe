"""Branches, loops and iterators of OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flopwise.frontends.openvino.native import Native, lowers
from flopwise.frontends.openvino.xml import Element
from flopwise.graph import Graph, Node, Tensor


class Body:
    """A network inside a layer, its inputs and results by the numbers of their layers."""

    def __init__(self, n: Native, tag: str) -> None:
        from flopwise.frontends.openvino.model import Block

        element = n.element.find(tag)
        if element is None:
            raise KeyError(f"has no {tag}")
        self.block = Block(n.block.model, element, f"{n.name}/")
        self.graph = self.block.graph()
        kinds = {k: e.attrs.get("type", "") for k, e in self.block.layers.items()}
        self.inputs = dict(zip((k for k in kinds if kinds[k] == "Parameter"), self.graph.inputs))
        self.results = {
            k: t for k in kinds if kinds[k] == "Result" for t in self.block.operands(k) if t
        }


def handed(outer: Tensor, inner: Tensor) -> Node:
    """What links a tensor outside to an input of a body: a view."""
    return Node("identity", (outer,), (inner,), {}, inner.name, (inner.name,), "operand")


def ports(n: Native, side: str) -> dict[str, int]:
    """The places of the ports of a layer by their numbers."""
    return {p.attrs.get("id", ""): i for i, p in enumerate(n.element.all(side, "port"))}


@lowers("If")
def branch(n: Native) -> None:
    """Each branch has a map of its own from the operands to its inputs."""
    places, branches = ports(n, "input"), []
    for side in ("then", "else"):
        body = Body(n, f"{side}_body")
        links = n.element.all(f"{side}_port_map", "input")
        nodes = [
            handed(n.given(places[e.attrs["external_port_id"]]), body.inputs[_inner(e)])
            for e in links
        ]
        results = {
            e.attrs["external_port_id"]: body.results[_inner(e)]
            for e in n.element.all(f"{side}_port_map", "output")
        }
        outputs = tuple(results[p] for p in ports(n, "output") if p in results)
        branches.append(Graph((), outputs, (*nodes, *body.graph.nodes), side))
    n.emit("if", n.given(0), branches=tuple(branches))


def _inner(element: Element) -> str:
    return element.attrs["internal_layer_id"]


@lowers("Loop", "TensorIterator")
def loop(n: Native) -> None:
    """Values that are carried, that stay, or of which each round takes a slice."""
    body = Body(n, "body")
    inputs = n.element.all("port_map", "input")
    outputs = n.element.all("port_map", "output")
    if any(abs(int(e.attrs.get("part_size", "1"))) != 1 for e in (*inputs, *outputs)):
        n.unknown()  # slices of several positions
        return
    sliced = [e for e in inputs if "axis" in e.attrs]
    if n.kind == "Loop" and sliced:
        n.unknown()
        return
    if n.kind == "TensorIterator" and not sliced:
        n.unknown()  # nothing tells how often it runs
        return
    parts = _Parts(n, body, inputs, outputs)
    parts.scan(sliced) if sliced else parts.loop()


class _Parts:
    """The sides of a loop, put in our order: carried values, then slices and stacks."""

    def __init__(
        self, n: Native, body: Body, inputs: list[Element], outputs: list[Element]
    ) -> None:
        self.n, self.body, self.inputs, self.outputs = n, body, inputs, outputs
        edges = n.element.all("back_edges", "edge")
        self.back = {e.attrs["to-layer"]: e.attrs["from-layer"] for e in edges}
        self.outer = ports(n, "input")
        self.made = {e.attrs["external_port_id"]: e for e in outputs}

    def operand(self, element: Element) -> Tensor:
        return self.n.given(self.outer[element.attrs["external_port_id"]])

    def carried(self) -> list[Element]:
        return [e for e in self.inputs if _inner(e) in self.back and "axis" not in e.attrs]

    def links(self) -> list[Node]:
        """Values that stay as they are."""
        fixed = [
            e for e in self.inputs
            if _inner(e) not in self.back and "axis" not in e.attrs and "purpose" not in e.attrs
            and e.attrs["external_port_id"] in self.outer
        ]  # fmt: skip
        return [handed(self.operand(e), self.body.inputs[_inner(e)]) for e in fixed]

    def stacks(self) -> tuple[list[Element], list[Node], list[Tensor]]:
        """Results of every round, side by side: without the axis of one position."""
        elements = [e for e in self.outputs if "axis" in e.attrs]
        nodes, tensors = [], []
        for e in elements:
            result = self.body.results[_inner(e)]
            bare = Tensor(self.n.block.model.unique(f"{result.name}/step"), None, result.dtype)
            attrs = {"axes": [int(e.attrs["axis"])]}
            name = f"{self.n.name}/step"
            nodes.append(Node("squeeze", (result,), (bare,), attrs, name, (name,), "result"))
            tensors.append(bare)
        return elements, nodes, tensors

    def results(self, carried: list[Element], stacked: list[Element]) -> list[Tensor]:
        """Our outputs in the order of carried values and stacks; unused ones get a name."""
        by_layer: Mapping[str, Any] = {
            _inner(e): e for e in self.outputs if "axis" not in e.attrs and "purpose" not in e.attrs
        }
        places = ports(self.n, "output")
        found: list[Tensor] = []
        for e in [*(by_layer.get(self.back[_inner(c)]) for c in carried), *stacked]:
            port = None if e is None else places.get(e.attrs["external_port_id"])
            if port is None:
                name = self.n.block.model.unique(f"{self.n.name}/last")
                found.append(Tensor(name))
            else:
                found.append(self.n.outputs[port])
        return found

    def loop(self) -> None:
        """Operands: how often, a condition, then values."""
        n, carried = self.n, self.carried()
        stacked, squeezes, tensors = self.stacks()
        purposes = {e.attrs.get("purpose"): e for e in (*self.inputs, *self.outputs)}
        step = Tensor(n.block.model.unique(f"{n.name}/round"), (), "int64")
        go = Tensor(n.block.model.unique(f"{n.name}/go"), (), "bool")
        if "current_iteration" in purposes:
            step = self.body.inputs[_inner(purposes["current_iteration"])]
        kept = go
        if "execution_condition" in purposes:
            condition = self.body.results[_inner(purposes["execution_condition"])]
            kept = go if condition.role == "constant" else condition
        inner = [self.body.inputs[_inner(e)] for e in carried]
        after = [self.body.results[self.back[_inner(e)]] for e in carried]
        nodes = (*self.links(), *self.body.graph.nodes, *squeezes)
        graph = Graph((step, go, *inner), (kept, *after, *tensors), nodes, n.name)
        operands = [n.given(0), None, *map(self.operand, carried)]
        n.emit("loop", *operands, to=self.results(carried, stacked), body=graph, repeat=1)

    def scan(self, sliced: list[Element]) -> None:
        """The axis that slices are taken along gives how often."""
        n, carried = self.n, self.carried()
        stacked, squeezes, tensors = self.stacks()
        slices, widened = [], []
        for e in sliced:
            inner = self.body.inputs[_inner(e)]
            bare = Tensor(n.block.model.unique(f"{inner.name}/step"), None, inner.dtype)
            attrs = {"axes": [int(e.attrs["axis"])]}
            name = f"{n.name}/slice"
            widened.append(Node("unsqueeze", (bare,), (inner,), attrs, name, (name,), "operand"))
            slices.append(bare)
        first = [self.body.inputs[_inner(e)] for e in carried]
        after = [self.body.results[self.back[_inner(e)]] for e in carried]
        nodes = (*self.links(), *widened, *self.body.graph.nodes, *squeezes)
        graph = Graph((*first, *slices), (*after, *tensors), nodes, n.name)
        n.emit(
            "scan", *map(self.operand, carried), *map(self.operand, sliced),
            to=self.results(carried, stacked), body=graph, repeat=1, scans=len(sliced),
            axes=tuple(int(e.attrs["axis"]) for e in sliced),
            out_axes=tuple(int(e.attrs["axis"]) for e in stacked),
        )  # fmt: skip
