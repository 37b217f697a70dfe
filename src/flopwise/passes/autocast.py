"""What PyTorch's automatic mixed precision makes of a float32 graph.

Products are done in half precision, sensitive functions in single, and the rest in the widest
type among their operands: a residual stream to which a float32 parameter was once added stays
in single precision. Casts are kernels of their own. The lists are those of CUDA, and of
CPUs, where few functions are sensitive: https://pytorch.org/docs/stable/amp.html#autocast-op-reference
"""

from __future__ import annotations

from dataclasses import replace

from flopwise import ops
from flopwise.graph import Graph, Node, Tensor
from flopwise.passes.drop import inside

NARROW = frozenset({
    "conv", "conv_transpose", "linear", "matmul", "einsum", "attention", "multi_head_attention",
    "prelu", "prelu_channels", "lstm", "gru", "rnn", "lstm_cell", "gru_cell", "rnn_cell",
})  # fmt: skip
WIDE = frozenset({
    "layer_norm", "group_norm", "rms_norm", "softmax", "log_softmax", "l2_norm", "pow", "exp",
    "expm1", "log", "log1p", "log2", "rsqrt", "reciprocal", "softplus", "acos", "asin", "cosh",
    "sinh", "tan", "reduce_sum", "reduce_prod", "cumsum", "cumprod", "cdist", "nll_loss",
})  # fmt: skip
# These compute on the type of their data whatever the type of their parameters.
OWN = frozenset({"batch_norm", "batch_norm_train", "instance_norm"})
SENSITIVE = {"gpu": WIDE, "cpu": frozenset({"reduce_prod", "cdist", "nll_loss"})}
ALIKE = {"gpu": OWN, "cpu": OWN | {"layer_norm", "group_norm"}}
LOSS = "loss"  # the origin of a loss: `cross_entropy_loss` as a whole is sensitive


def autocast(graph: Graph, dtype: str = "float16", backend: str = "gpu") -> Graph:
    """The graph with casts where automatic mixed precision has them, on a "gpu" or a "cpu"."""
    known: dict[str, Tensor] = {}
    cast: dict[str, Tensor] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        given = tuple(t and known.get(t.name, t) for t in node.inputs)
        wide = node.op in SENSITIVE[backend] or node.origin == LOSS
        target = dtype if node.op in NARROW else "float32" if wide else ""
        if target:
            given = tuple(t and _as(t, target, nodes, cast) for t in given)
        kind = target or _widest(node, given, dtype, backend)
        made = tuple(_typed(t, kind, dtype) for t in node.outputs)
        known |= {t.name: t for t in made}
        nodes.append(node.between(given, made))
    outputs = tuple(known.get(t.name, t) for t in graph.outputs)
    slim = replace(graph, nodes=tuple(nodes), outputs=outputs)
    return inside(slim, lambda body: autocast(body, dtype, backend))


def _typed(tensor: Tensor, kind: str, dtype: str) -> Tensor:
    floats = tensor.dtype in ("float32", dtype)
    return replace(tensor, dtype=kind) if kind and floats else tensor


def _as(tensor: Tensor, kind: str, nodes: list[Node], cast: dict[str, Tensor]) -> Tensor:
    """The tensor in a type. A weight is cast once, an activation by each operator anew."""
    if tensor.dtype == kind or tensor.dtype not in ("float32", "float16", "bfloat16"):
        return tensor
    learned = tensor.role == "weight"
    if learned and tensor.name in cast:
        return cast[tensor.name]
    name = f"{tensor.name}.{kind}" if learned else f"{tensor.name}.{kind}.{len(nodes)}"
    made = Tensor(name, tensor.shape, kind)
    nodes.append(Node("cast", (tensor,), (made,), {"dtype": kind}, name, origin="autocast"))
    cast[tensor.name] = made
    return made


def _widest(node: Node, given: tuple[Tensor | None, ...], dtype: str, backend: str) -> str:
    """The type that operands promote to; numbers without axes do not count."""
    entry = ops.find(node.op)
    floats = [t for t in given if t is not None and t.dtype in ("float32", dtype)]
    if not floats or (entry is not None and entry.dtype):
        return ""
    if node.op in ALIKE[backend]:
        return floats[0].dtype
    ranked = [t for t in floats if t.shape != ()] or floats
    return "float32" if any(t.dtype == "float32" for t in ranked) else dtype
