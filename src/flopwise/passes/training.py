"""From a network in inference to one in training: dropout drops, norms use the batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flopwise.graph import Graph, Node, Tensor

LOSSES = ("none", "cross-entropy")


def training(graph: Graph) -> Graph:
    """The graph with dropout and batch normalisation as they are in training. Those of a
    graph that is in training already stay as they are."""
    return replace(graph, nodes=tuple(map(_trained, graph.nodes)))


def _trained(node: Node) -> Node:
    if node.op == "dropout" and float(node.attrs.get("ratio", 0.5)) > 0:
        return replace(node, op="dropout_train", outputs=node.outputs[:1])
    if node.op == "batch_norm":
        attrs = dict(node.attrs)
        if "pattern" in attrs:
            attrs["pattern"] = _without_statistics(attrs["pattern"])
        first, _, _, *affine = node.inputs
        return replace(node, op="batch_norm_train", inputs=(first, *affine), attrs=attrs)
    return node


def _without_statistics(pattern: str) -> str:
    """A spelling of batch normalisation without its second and third operand."""
    operands, arrow, results = pattern.partition("->")
    parts = operands.split(",")
    return ",".join((parts[0], *parts[3:])).rstrip() + f" {arrow}{results}"


def with_loss(graph: Graph, loss: str, wide: bool = False) -> Graph:
    """The graph with the cross-entropy of its first result: log-softmax over the classes (the
    second axis of images, else the last), then the mean of those of the right ones. In the type
    of the result, as PyTorch has it, or `wide`: in single precision, as Megatron-LM has it."""
    if loss == "none" or not graph.outputs or not graph.outputs[0].known:
        return graph
    scores = next((n for n in graph.nodes for t in n.outputs if t.name == graph.outputs[0].name
                   and n.op == "softmax"), None)  # fmt: skip
    logits = graph.outputs[0]
    nodes = list(graph.nodes)
    if scores is not None and scores.inputs[0] is not None:
        nodes.remove(scores)
        logits = scores.inputs[0]
    axis = 1 if len(logits.sizes) == 4 else len(logits.sizes) - 1
    rest = tuple(s for i, s in enumerate(logits.sizes) if i != axis)
    classes = Tensor("classes·target", rest, "int64", "input")
    logs = Tensor(
        f"{logits.name}·log", logits.shape, _single(logits.dtype) if wide else logits.dtype
    )
    value = Tensor("loss", (), logs.dtype)
    attrs: dict[str, Any] = {"axis": axis}
    nodes += [
        Node("log_softmax", (logits,), (logs,), attrs, "loss·log_softmax", (), "loss"),
        Node("nll_loss", (logs, classes), (value,), {}, "loss", (), "loss"),
    ]
    return replace(graph, inputs=(*graph.inputs, classes), nodes=tuple(nodes), outputs=(value,))


def _single(dtype: str) -> str:
    return "float32" if dtype in ("float16", "bfloat16", "float8") else dtype


def freeze(graph: Graph, patterns: tuple[str, ...]) -> Graph:
    """The graph with weights frozen whose names fit one of the patterns, as `layer1.*`.

    Raises UnknownName where a pattern fits none.
    """
    from fnmatch import fnmatchcase

    from flopwise.errors import UnknownName, nearest

    names = [t.name for t in graph.tensors() if t.role == "weight"]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UnknownName(f"no weight fits '{pattern}'; {nearest(pattern, names)}")

    def frozen(t: Tensor) -> Tensor:
        fits = t.role == "weight" and any(fnmatchcase(t.name, p) for p in patterns)
        return replace(t, trainable=False) if fits else t

    return graph.map_tensors(frozen)
