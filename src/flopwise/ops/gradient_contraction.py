"""Gradients of contractions: the same index space, once for each operand that needs one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flopwise import ops
from flopwise.counts import ZERO, Counts, dots
from flopwise.dims import Dim, floordiv, maximum, minimum, prod
from flopwise.graph import Node, Shape, Tensor
from flopwise.ops import attention as _attention  # noqa: F401 - its operators get rules here
from flopwise.ops import rule
from flopwise.ops.contraction import axis_sizes, reached, split_equation
from flopwise.ops.gradient import (
    Autograd,
    Gradient,
    Tensors,
    Wants,
    adjoint,
    keep,
    present,
    summed,
)
from flopwise.ops.recurrent import GATES

FACTORS = {"bilinear": 3}  # operands that are multiplied; two for the others


@rule("gradient", "linear", "local_conv", "conv_transpose", "grouped_matmul", "matmul", "bilinear")
def swept(node: Node, inputs: Tensors, outputs: tuple[Tensor, ...], wants: Wants) -> Gradient:
    """For each factor as many multiply-accumulates as forward, one dot product per element of
    it; a bias takes the sum of the gradients of all outputs it was added to."""
    return _swept(node, inputs, outputs[0], wants, {})


@rule("gradient", "conv")
def conv(
    node: Node, inputs: Tensors, outputs: tuple[Tensor, ...], wants: Wants, autograd: Autograd,
    n: Dim, c: Dim, y: Shape, k: Shape, stride: Any = 1, dilation: Any = 1,
) -> Gradient:  # fmt: skip
    """With respect to the input it is the transposed convolution of the result's gradient, whose
    products fall on as many places as that reaches."""
    places = {0: n * c * prod(reached(y, k, stride, dilation))}
    found = _swept(node, inputs, outputs[0], wants, places)
    if autograd.backend != "cpu" or (prod(k) == 1 and stride in (1, None, [1], (1,) * len(y))):
        return found
    return replace(found, workspace=_reordered(inputs, outputs[0], wants))


def _reordered(inputs: Tensors, result: Tensor, wants: Wants) -> Dim:
    """oneDNN works on copies in an order of its own: of the data and of the result's gradient,
    or of the weight's gradient; where the weight takes none, of that of the data. PyTorch takes
    it for all windows but single elements (aten/src/ATen/native/Convolution.cpp, use_mkldnn)."""
    data, weight = inputs[0], inputs[1]
    assert data is not None and weight is not None
    if 1 in wants:
        return maximum(data.bytes + result.bytes, weight.bytes)
    return maximum(result.bytes + weight.bytes, data.bytes)


def _swept(
    node: Node, inputs: Tensors, result: Tensor, wants: Wants, places: dict[int, Dim]
) -> Gradient:
    forward, factors = ops.count(node), FACTORS.get(node.op, 2)
    assert forward is not None
    total = ZERO
    saved: dict[str, Tensor] = {}
    for i, operand in present(inputs, wants):
        if i < factors:
            number = minimum(places.get(i, operand.size), forward.mac)
            total += Counts(mac=forward.mac, dot=number)
            saved |= {t.name: t for j, t in enumerate(inputs[:factors]) if t and j != i}
        else:
            total += summed(operand, result)
    return Gradient(total, tuple(saved.values()))


@rule("gradient", "deform_conv")
def deform_conv(
    node: Node, inputs: Tensors, outputs: tuple[Tensor, ...], wants: Wants,
    n: Dim, c: Dim, y: Shape, k: Shape,
) -> Gradient:  # fmt: skip
    """Samples that were interpolated: their gradient is one contraction, which the data and
    the offsets share, then spreads to the neighbours; that of the weight is another."""
    forward = ops.count(node)
    assert forward is not None
    total = ZERO
    if wants - {1, 2}:
        total += Counts(mac=forward.mac, dot=n * c * prod(y) * prod(k))
        blend = Counts(mul=forward.mul, add=forward.mul)
        total += len(wants - {1, 2}) * blend
    if 1 in wants:
        total += Counts(mac=forward.mac, dot=inputs[1].size if inputs[1] else 0)
    for i, operand in present(inputs, wants):
        total += summed(operand, outputs[0]) if i == 2 else ZERO
    return Gradient(total, inputs)


@rule("gradient", "einsum")
def einsum(
    inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], equation: str, wants: Wants
) -> Gradient:
    """Of two operands each sweeps all axes; of more the products are taken apart again from
    the right, each of two. One operand alone is spread, or added up."""
    if len(inputs) == 1:
        return Gradient(summed(outputs[0], inputs[0]))
    terms, result = split_equation(equation, [len(t.sizes) for t in inputs])
    left = axis_sizes(terms[:1], [inputs[0].sizes])
    total = ZERO
    for i, (term, tensor) in enumerate(zip(terms[1:], inputs[1:]), 1):
        needed = {*result, *(a for later in terms[i + 1 :] for a in later)}
        sizes = axis_sizes([(*left,), term], [(*left.values(),), tensor.sizes])
        space = prod(sizes.values())
        if wants & {*range(i)}:
            total += Counts(mac=space, dot=prod(left.values()))
        if i in wants:
            total += Counts(mac=space, dot=tensor.size)
        left = {a: size for a, size in sizes.items() if a in needed}
    others = {j for i in wants for j in range(len(inputs)) if j != i}
    between = keep_between(inputs, outputs) if len(inputs) > 2 else ()
    return Gradient(total, tuple(inputs[j] for j in sorted(others)), between)


def keep_between(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A chain of products keeps those between; each as large as the result, to first order."""
    size = outputs[0]
    return tuple(
        Tensor(f"{size.name}·product{i}", size.shape, size.dtype) for i in range(len(inputs) - 2)
    )


def attend(
    node: Node, wants: Wants, autograd: Autograd, batch: Shape, h: Dim, q: Dim, k: Dim, d: Dim,
    v: Dim, scaled: int, dropout: float,
) -> Gradient:  # fmt: skip
    """dV = Pᵀ dO; dP = dO Vᵀ; dS = P (dP - rowsum(P dP)); dQ = dS K; dK = dSᵀ Q. Two products
    for each of the forward's two; FlashAttention also repeats S = Q Kᵀ and P = exp(S - lse)."""
    inputs, out = node.inputs, node.outputs[0]
    heads = prod(batch) * h
    scores, total, sizes = heads * q * k, ZERO, [t.size if t else 0 for t in inputs]
    if 2 in wants:
        total += Counts(mac=scores * v, dot=sizes[2])
    if wants - {2}:
        total += dots(scores, v) + scores * Counts(mul=2 + int(bool(scaled)), add=2)
    for i in wants & {0, 1}:
        total += Counts(mac=scores * d, dot=sizes[i])
    for i, operand in present(inputs, wants - {0, 1, 2}):
        total += Counts(add=scores - operand.size) if i == 3 else ZERO
    if not autograd.fuses(dropout):
        shape = (*batch, h, q, k)
        values = () if node.attrs.get("copied", True) else inputs[2:3]
        return Gradient(total, values, _plain(node, wants, autograd, shape, dropout))
    lse = keep(node, "logsumexp", (*batch, h, q), "float32")
    again = dots(scores, d) + scores * Counts(add=1, exp=1)
    return Gradient(total, (*inputs, out), (lse,), again=again)


def _plain(
    node: Node, wants: Wants, autograd: Autograd, scores: Shape, dropout: float
) -> tuple[Tensor, ...]:
    """What attention without fusion keeps: queries (for dK) and keys (for dQ), scaled, and values
    (unless they lie head by head already), the probabilities; with dropout the mask and what it
    left (for dV)."""
    dtype = autograd.scores or node.outputs[0].dtype
    before, copied = wants - {2}, node.attrs.get("copied", True)
    wanted = {"query": 1 in wants, "key": 0 in wants, "value": bool(before) and copied}
    names = [(n, t) for (n, it), t in zip(wanted.items(), node.inputs) if it and t is not None]
    kept = [keep(node, name, t.sizes, dtype) for name, t in names]
    if before or not dropout:
        kept.append(keep(node, "probabilities", scores, dtype))
    if dropout and before:
        kept.append(keep(node, "mask", scores, autograd.mask or dtype))
    if dropout and 2 in wants:
        kept.append(keep(node, "dropped", scores, dtype))
    return tuple(kept)


@rule("gradient", "attention")
def attention(
    node: Node, wants: Wants, autograd: Autograd, q: Dim, d: Dim, k: Dim, v: Dim,
    b: Shape = (), h: Dim = 1, scaled: int = 1, dropout: float = 0,
) -> Gradient:  # fmt: skip
    return attend(node, wants, autograd, b, h, q, k, d, v, scaled, dropout)


@rule("gradient", "multi_head_attention")
def multi_head_attention(
    node: Node, wants: Wants, autograd: Autograd, q: Dim, e: Dim, k: Dim, v: Dim, heads: Dim,
    kv_heads: Any = None, b: Shape = (), scaled: int = 1, dropout: float = 0,
) -> Gradient:  # fmt: skip
    d, width = e // heads, v // (kv_heads or heads)
    return attend(node, wants, autograd, b, heads, q, k, d, width, scaled, dropout)


@rule("gradient", "selective_scan")
def selective_scan(node: Node, inputs: Tensors, outputs: tuple[Tensor, ...]) -> Gradient:
    """Backward through time: the one product C s has two gradients; the states are computed
    again, as the paper's kernel does (Gu and Dao 2023, §3.3.2). Elementwise by `adjoint`."""
    forward = ops.count(node)
    assert forward is not None
    product = Counts(mac=forward.mac, dot=forward.mac)
    again = Counts(mul=forward.mul, add=forward.add, exp=forward.exp)
    return Gradient(adjoint(forward) + product + product, inputs, again=again)


@rule("gradient", "combine_experts")
def combine_experts(node: Node, inputs: Tensors, outputs: tuple[Tensor, ...]) -> Gradient:
    """Each expert's output takes its weight times the gradient; each weight a product of both."""
    forward = ops.count(node)
    assert forward is not None
    return Gradient(Counts(mul=2 * forward.mul, add=forward.mul), inputs)


def unit(node: Node, wants: Wants, first: Dim, begin: Dim, gates: tuple[Dim, ...]) -> Gradient:
    """Through time: a product more for the data (and state) and one for the weights, each where
    it is wanted; `first` is the product with the data of the first layer, `begin` that with the
    states before the first step. Elementwise by `adjoint`. The gates and states of every step
    are kept."""
    forward = ops.count(node)
    assert forward is not None
    operands = [t for i, t in present(node.inputs, wants) if i]
    learned = any(t.role == "weight" for t in operands)
    given = any(t.role != "weight" for t in operands)
    mac = forward.mac * (1 + int(learned)) - (0 if 0 in wants else first) - (0 if given else begin)
    dot = forward.dot * (1 + int(learned))
    kept = keep(node, "gates", gates, node.outputs[0].dtype)
    products = Counts(mac=mac, dot=minimum(dot, mac))
    return Gradient(adjoint(forward) + products, (*node.inputs, node.outputs[0]), (kept,))


# Numbers that each step of each layer keeps, in units of the hidden size. Of the cell itself:
# gates and states (cuDNN's reserve is no more than that). oneDNN's workspace of an LSTM holds
# gates (4), states below, before and of the cell (2 each, of one step more), and as many gradients
# of them in single precision; GRUs run step by step on a CPU and keep both products (3 and 3) and
# what the update gate mixes (1).
KEPT = {"rnn": (1, 1), "lstm": (6, 4), "gru": (5, 7)}
STATES = {"lstm": 6}


def recurrent(name: str) -> Any:
    """The rule of a recurrent network."""

    def rule_(
        node: Node, wants: Wants, autograd: Autograd, i: Dim, t: Dim = 1, n: Any = 1, h: Any = None,
        hidden: Any = None, layers: int = 1, directions: int = 1, coupled: Any = False,
        projection: Dim = 0,
    ) -> Gradient:  # fmt: skip
        state = hidden if hidden is not None else h
        rows = (GATES[name] - int(bool(coupled))) * state
        steps = t * (prod(n) if isinstance(n, tuple) else n)
        whole = autograd.backend == "cpu" and name in STATES and node.op == name
        width = KEPT[name][whole if name in STATES else autograd.backend == "cpu"] * state
        first = directions * steps * rows * i
        begin = directions * layers * floordiv(steps, t) * rows * (projection or state)
        found = unit(node, wants, first, begin, (layers * directions, steps, width))
        if not whole:
            return found
        shape = (layers * directions, steps + floordiv(steps, t), STATES[name] * state)
        dtypes = {"states": node.outputs[0].dtype, "state gradients": "float32"}
        space = tuple(keep(node, what, shape, dtype) for what, dtype in dtypes.items())
        return replace(found, kept=(*found.kept, *space))

    return rule_


for _name in GATES:
    rule("gradient", _name, f"{_name}_cell")(recurrent(_name))
