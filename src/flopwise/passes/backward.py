"""Append the gradient: a forward graph becomes the forward and backward of a training step.

Nodes run backwards in the reverse of their order, as autograd engines do. A gradient that a
tensor takes from two sides is added as soon as the second arrives. What a gradient needs of the
forward is among its operands, so that the liveness of the whole graph tells how long each
activation stays; what is made for it alone (masks, places, statistics) is written by `keep`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from flopwise.errors import FlopwiseError
from flopwise.graph import Graph, Node, Tensor
from flopwise.ops.gradient import Autograd, Gradient, gradient, record, smooth, stops

BACKWARD, RECOMPUTE = "backward", "recompute"


@dataclass(frozen=True, slots=True)
class Segment:
    """Nodes from `start` up to `stop` that run once more before their backward; of what they
    make only `stored` is kept until then."""

    start: int
    stop: int
    stored: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Step:
    """A graph of one training step, and the gradient of each learned tensor by its name."""

    graph: Graph
    gradients: Mapping[str, Tensor]


@dataclass
class _Tape:
    """What the walk back has found so far."""

    autograd: Autograd
    needs: set[str]
    nodes: list[Node] = field(default_factory=list)
    grads: dict[str, Tensor] = field(default_factory=dict)
    renamed: dict[str, Tensor] = field(default_factory=dict)
    kept: dict[int, tuple[Tensor, ...]] = field(default_factory=dict)
    parts: int = 0


def backward(
    graph: Graph, autograd: Autograd = Autograd(), segments: Sequence[Segment] = (),  # noqa: B008
    wanted: Iterable[str] = (),
) -> Step:  # fmt: skip
    """The forward nodes of a graph, then their gradients with respect to every trainable weight,
    and to inputs that are `wanted`, as of the middle of a network.

    The gradients of the graph's results come from outside, unless the result is a loss (a
    scalar). Operators without a gradient rule are listed as unknown. Raises FlopwiseError where
    the graph holds a backward already.
    """
    if any(node.attrs.get("phase") for node in graph.nodes):
        raise FlopwiseError("the graph holds a backward already; load it without mode='train'")
    needs = requiring(graph, wanted)
    tape = _Tape(autograd, needs)
    _seed(graph, tape)
    rules = {i: _rule(node, tape) for i, node in enumerate(graph.nodes)}
    again = {i: s for s in segments for i in range(s.start, s.stop)}
    for i in reversed(range(len(graph.nodes))):
        segment = again.get(i)
        if segment is not None and i == segment.stop - 1:
            _rerun(graph.nodes, segment, rules, tape)
        _back(graph.nodes[i], rules[i], tape)
    forward = [n for i, node in enumerate(graph.nodes) for n in _forward(i, node, rules, again)]
    learned = {t.name: tape.grads[t.name] for t in graph.tensors() if t.name in tape.grads
               and t.role == "weight"}  # fmt: skip
    outputs = (*graph.outputs, *learned.values())
    whole = replace(graph, nodes=(*forward, *tape.nodes), outputs=outputs)
    return Step(whole, learned)


def requiring(graph: Graph, wanted: Iterable[str] = ()) -> set[str]:
    """The names of tensors that a trainable weight has a part in: what needs a gradient."""
    learned = {t.name for t in graph.tensors() if t.role == "weight" and t.trainable and smooth(t)}
    needs = learned | set(wanted)
    for node in graph.nodes:
        if not stops(node) and any(t is not None and t.name in needs for t in node.inputs):
            needs.update(t.name for t in node.outputs if smooth(t))
    return needs


def _rule(node: Node, tape: _Tape) -> Gradient | None:
    """What the gradient of a node takes; None where nothing tells."""
    wants = _wants(node, tape)
    if not wants or not any(t.name in tape.needs for t in node.outputs):
        return Gradient()
    found = gradient(node, wants, tape.autograd)
    return found and _copied(node, found)


def _copied(node: Node, rule: Gradient) -> Gradient:
    """An operand that is overwritten in place and asked for later is copied before."""
    first = node.inputs[0] if node.inputs else None
    if not node.attrs.get("inplace") or first is None or first not in rule.saved:
        return rule
    copy = replace(first, name=f"{node.outputs[0].name}·before")
    rest = tuple(t for t in rule.saved if t != first)
    return replace(rule, saved=rest, kept=(*rule.kept, copy))


def _wants(node: Node, tape: _Tape) -> frozenset[int]:
    return frozenset(i for i, t in enumerate(node.inputs) if t is not None and t.name in tape.needs)


def _seed(graph: Graph, tape: _Tape) -> None:
    """The gradients of the results, from a loss outside the graph. Where no result has one, as
    after a choice of boxes, the loss is taken of what the choice is made from."""
    seeds = [t for t in graph.outputs if t.name in tape.needs and t.known] or _ends(graph, tape)
    for tensor in seeds:
        tape.grads.setdefault(tensor.name, _grad(tensor))
    made = tuple({t.name: tape.grads[t.name] for t in seeds}.values())
    if made:
        tape.nodes.append(_node("keep", (), made, "loss", (), {"phase": BACKWARD}))


def _ends(graph: Graph, tape: _Tape) -> list[Tensor]:
    """Tensors that need a gradient and are read by nothing that passes one."""
    read = {t.name for n in graph.nodes if not stops(n) for t in n.inputs if t is not None}
    made = [t for n in graph.nodes for t in n.outputs if t.known]
    return [t for t in made if t.name in tape.needs and t.name not in read]


def _back(node: Node, rule: Gradient | None, tape: _Tape) -> None:
    """The gradient of one node, where one has reached its results."""
    wants = _wants(node, tape)
    arrived = [tape.grads.pop(t.name) for t in node.outputs if t.name in tape.grads]
    if not arrived or not wants:
        return
    if rule is None:
        rule, op, origin = Gradient(saved=node.inputs), "unknown", f"gradient of {node.op}"
    else:
        op, origin = "gradient", ""
    operands = [(i, t) for i, t in enumerate(node.inputs) if i in wants and t is not None]
    same = {
        i for i, t in operands
        if i in rule.passes and t.sizes == arrived[0].sizes and t.dtype == arrived[0].dtype
    }  # fmt: skip
    fresh = {i: _grad(t, tape) for i, t in operands if i not in same}
    if fresh:
        saved = tuple(tape.renamed.get(t.name, t) for t in (*rule.saved, *rule.kept) if t)
        view = bool(set(fresh) <= rule.passes)
        attrs = {"of": node.op, "phase": BACKWARD, "view": view, "amounts": record(rule.counts),
                 "again": record(rule.again), "forward": node,
                 "workspace": rule.workspace + node.attrs.get("workspace", 0)}  # fmt: skip
        inputs = tuple({t.name: t for t in (*arrived, *saved)}.values())
        name = f"{node.name or node.op}·gradient"
        made = _node(op, inputs, tuple(fresh.values()), name, node.scope, attrs, origin)
        tape.nodes.append(made)
    for i, tensor in operands:
        _arrive(tensor, fresh.get(i, arrived[0]), tape, node)


def _arrive(tensor: Tensor, grad: Tensor, tape: _Tape, node: Node) -> None:
    """A gradient comes to a tensor, and is added to one that is there already."""
    before = tape.grads.get(tensor.name)
    if before is None:
        tape.grads[tensor.name] = grad
        return
    both = _grad(tensor, tape)
    attrs = {"phase": BACKWARD, "reuse": True}
    name = f"{tensor.name}·sum"
    tape.nodes.append(_node("accumulate", (before, grad), (both,), name, node.scope, attrs))
    tape.grads[tensor.name] = both


def _grad(tensor: Tensor, tape: _Tape | None = None) -> Tensor:
    name = f"grad({tensor.name})"
    if tape is not None:
        tape.parts += 1
        name = f"grad({tensor.name})#{tape.parts}"
    return Tensor(name, tensor.shape, tensor.dtype)


def _rerun(
    nodes: Sequence[Node], segment: Segment, rules: Mapping[int, Gradient | None], tape: _Tape
) -> None:
    """Run again what the backward of a segment needs of it, under other names."""
    places = range(segment.start, segment.stop)
    inside = {t.name for i in places for t in nodes[i].outputs}
    wanted = {t.name for i in places for t in _kept_by(rules[i], nodes[i]) if t.name in inside}
    wanted -= segment.stored
    again: list[int] = []
    for i in reversed(places):
        keeps = bool(rules[i] and rules[i].kept)  # type: ignore[union-attr]
        if keeps or any(t.name in wanted for t in nodes[i].outputs):
            again.append(i)
            wanted |= {t.name for t in nodes[i].inputs if t is not None} & inside - segment.stored
    for i in reversed(again):
        tape.nodes += _copy(i, nodes[i], rules[i], tape)


def _kept_by(rule: Gradient | None, node: Node) -> Iterable[Tensor]:
    """The tensors of the forward that a gradient reads."""
    return (t for t in (node.inputs if rule is None else rule.saved) if t is not None)


def _copy(i: int, node: Node, rule: Gradient | None, tape: _Tape) -> list[Node]:
    """A node once more, reading what was made again and making results of other names."""
    inputs = tuple(t and tape.renamed.get(t.name, t) for t in node.inputs)
    kept = rule.kept if rule is not None else ()
    for t in (*node.outputs, *kept):
        tape.renamed[t.name] = replace(t, name=f"{t.name}·again")
    outputs = tuple(tape.renamed[t.name] for t in node.outputs)
    attrs = {**node.attrs, "phase": RECOMPUTE}
    copied = replace(node, inputs=inputs, outputs=outputs, attrs=attrs, name=f"{node.name}·again")
    if not kept:
        return [copied]
    made = tuple(tape.renamed[t.name] for t in kept)
    return [copied, _node("keep", (), made, f"{node.name}·kept", node.scope, {"phase": RECOMPUTE})]


def _forward(
    i: int, node: Node, rules: Mapping[int, Gradient | None], again: Mapping[int, Segment]
) -> list[Node]:
    """A node of the forward, with what it keeps for its gradient, unless it runs again."""
    rule = rules[i]
    if rule is None or not rule.kept or i in again:
        return [node]
    return [node, _node("keep", (), rule.kept, f"{node.name}·kept", node.scope, {})]


def _node(
    op: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], name: str,
    scope: tuple[str, ...], attrs: Mapping[str, object], origin: str = "",
) -> Node:  # fmt: skip
    return Node(op, inputs, outputs, attrs, name, scope, origin or op)
