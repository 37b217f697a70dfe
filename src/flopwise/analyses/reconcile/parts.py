"""Parts of a network that counts leave out or add: the classifier, attention, batch norm, …"""

from __future__ import annotations

from flopwise.dims import Dim
from flopwise.graph import Node
from flopwise.profile import Row

CONVOLUTIONS = ("conv", "conv_transpose", "deform_conv", "local_conv", "causal_conv")
RECURRENT = ("rnn", "gru", "lstm", "rnn_cell", "gru_cell", "lstm_cell", "svdf")
ATTENTION = ("attention", "attention_scores", "attention_values", "cached_attention")
BATCH_NORMS = ("batch_norm", "scale")
NORMS = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "scale")
POOLS = (
    *("max_pool", "avg_pool", "sum_pool", "adaptive_max_pool", "adaptive_avg_pool"),
    *("global_max_pool", "global_avg_pool"),
)
ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu", "gelu_tanh"),
    *("quick_gelu", "silu", "sigmoid", "tanh", "hard_sigmoid", "hard_swish", "mish", "softplus"),
)
ELEMENTWISE = ("add", "sub", "mul", "div")


def kinds(rows: list[Row], last: Row | None) -> tuple[str, ...]:
    """The sorts of contractions, in plain words and in order of appearance."""
    found = [_kind(r, r is last) for r in rows if r.total.mac != 0]
    if "dense layers" in found:
        found = ["dense layers" if kind == "the classifier" else kind for kind in found]
    return tuple(dict.fromkeys(found))


def _kind(row: Row, last: bool) -> str:
    op = row.node.op
    if op in CONVOLUTIONS:
        return "convolutions"
    if op in RECURRENT:
        return "recurrent cells"
    if is_attention(row):
        return "attention"
    return "the classifier" if last else "dense layers" if row.node.weights else "matrix products"


def is_attention(row: Row) -> bool:
    """A fused attention, or a product of two activations."""
    return row.node.op in ATTENTION or (row.node.op == "matmul" and not row.node.weights)


def head(rows: list[Row]) -> Row | None:
    """The last contraction with weights: the classifier, in a network that has one."""
    heads = [r for r in rows if r.total.mac != 0 and r.node.weights]
    return heads[-1] if len(heads) > 1 else None


def folded(rows: list[Row]) -> Dim:
    """Parameters that go when batch norms are folded into the convolutions before them.

    A convolution without a bias gets one; scale, shift and stored statistics vanish.
    """
    biased: dict[str, bool] = {}
    saved: Dim = 0
    for row in rows:
        node, data = row.node, row.node.inputs[0] if row.node.inputs else None
        if node.op in CONVOLUTIONS or node.op == "linear":
            biased[node.outputs[0].name] = len(node.weights) > 1
        elif node.op in BATCH_NORMS and data is not None and data.name in biased:
            gained = 0 if biased[data.name] else node.outputs[0].sizes[1]
            saved += row.params - gained
            biased[node.outputs[0].name] = True
    return saved


def extras(rows: list[Row]) -> dict[str, Dim]:
    """Operations that are no multiply-adds, at the common price of each."""
    found: dict[str, Dim] = dict.fromkeys(
        ("bias", "norm", "activation", "pool", "elementwise", "softmax"), 0
    )
    for row in rows:
        name, amount = _extra(row)
        if name:
            found[name] += row.repeat * amount
    return found


def _extra(row: Row) -> tuple[str, Dim]:
    """One per bias, element of an activation or of arithmetic on two tensors, and element
    under a pooling window; two per element of a normalisation; of a softmax, each one."""
    node, counts = row.node, row.counts
    assert counts is not None
    out = node.outputs[0].size
    if node.op in CONVOLUTIONS or node.op == "linear":
        return "bias", counts.add
    if node.op in NORMS:
        return "norm", 2 * out
    if node.op in ACTIVATIONS:
        return "activation", out
    if node.op in POOLS:
        return "pool", counts.ops + (out if "max" in node.op else 0)
    if node.op in ELEMENTWISE and _two_tensors(node):
        return "elementwise", out
    return ("softmax", counts.ops) if node.op == "softmax" else ("", 0)


def _two_tensors(node: Node) -> bool:
    return sum(t is not None and t.role in ("activation", "input") for t in node.inputs) > 1
