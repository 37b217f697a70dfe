"""Backward by rule is backward by trace: what autograd of PyTorch runs, and what our rules append
to a forward, on networks of many architectures, for each kind of operator.

Multiply-accumulates are equal without exception. Of other operations those kinds are equal that
both sides write as one operator; the few that PyTorch writes otherwise are named in OTHERWISE.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from support import torchvision_ops

if not torchvision_ops.available():
    pytest.skip("needs torchvision", allow_module_level=True)

import flopwise
from flopwise.conventions.textbook import FLOPS
from flopwise.passes.backward import backward
from flopwise.passes.training import training
from flopwise.profile import Profile, profile
from support.trainable import ARCHITECTURES, example

PRODUCTS = ("linear", "matmul", "einsum", "attention", "lstm", "gru", "rnn")
KINDS = {
    **dict.fromkeys(PRODUCTS, "products"),
    "conv_transpose": "conv",
    # gradients that meet, biases and broadcast operands, products and dropout
    **dict.fromkeys(("add", "sub", "neg", "accumulate", "reduce_sum", "expand", "mul",
                     "dropout_train"), "sums and factors"),
    **dict.fromkeys(("max_pool", "embedding", "gather", "scatter", "slice"), "put in place"),
    **dict.fromkeys(("div", "avg_pool", "adaptive_avg_pool", "reduce_mean"), "averages"),
    **dict.fromkeys(("pow", "square", "rsqrt", "sqrt"), "powers"),
}  # fmt: skip

# Kinds of which PyTorch computes other things, where a forward has such operators.
OTHERWISE = {
    "averages": ({"avg_pool", "adaptive_avg_pool", "reduce_mean", "div"},
                 "gradients are spread first, and each copy is divided"),
    "put in place": ({"avg_pool", "adaptive_avg_pool"}, "averages are scattered without overlap"),
    "powers": ({"pow", "square", "rsqrt"}, "d x^n = n x^(n-1) is a power and products"),
    "sums and factors": ({"attention", "pow", "rsqrt", "lstm", "gru", "rnn"},
                         "attention scales queries and keys, where the rule scales scores; powers "
                         "have factors of their own; recurrent steps run one by one"),
    "softmax": ({"attention"}, "attention by trace is a softmax between two products"),
    "sigmoid": ({"lstm", "gru"}, "gates are operators of their own"),
    "tanh": ({"lstm", "gru", "rnn"}, "gates are operators of their own"),
}  # fmt: skip


def kind(op: str) -> str:
    return KINDS.get(op, op)


def by_kind(found: Profile) -> tuple[Counter[str], Counter[str]]:
    """Of the backward alone: multiply-accumulates by kind, and other operations by kind."""
    macs, others = Counter[str](), Counter[str]()
    for row in found.rows:
        if row.node.attrs.get("phase") != "backward":
            continue
        op = row.node.attrs["of"] if row.node.op == "gradient" else row.node.op
        total = dict(row.total.items())
        macs[kind(op)] += total.pop("mac", 0)
        rest = sum(n for name, n in total.items() if name not in ("dot", "read", "write"))
        others["sums and factors" if kind(op) == "products" else kind(op)] += rest
    return +macs, +others


@cache
def both(name: str) -> tuple[Any, Any, set[str]]:
    """By trace, by rule, and the operators of the forward."""
    build, shape = ARCHITECTURES[name]
    module, inputs = build(), example(shape)
    traced = flopwise.count(module, inputs=inputs, mode="train")
    forward = training(flopwise.load(module, inputs=inputs, mode="train-forward"))
    ruled = profile(backward(forward).graph, FLOPS)
    assert not traced.unknown and not ruled.unknown
    return by_kind(traced), by_kind(ruled), {node.op for node in forward.nodes}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_contractions_are_equal(name: str) -> None:
    (traced, _), (ruled, _), _ = both(name)
    assert traced == ruled and sum(traced.values()) > 0


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_other_kinds_are_equal_or_named(name: str) -> None:
    (_, traced), (_, ruled), ops = both(name)
    unlike = {k for k in {*traced, *ruled} if traced[k] != ruled[k]}
    for k in unlike:
        assert k in OTHERWISE, (k, traced[k], ruled[k])
        assert OTHERWISE[k][0] & ops, (k, traced[k], ruled[k])


def test_what_is_named_is_so() -> None:
    """A kind leaves the list where no network needs it there."""
    named = set()
    for name in ARCHITECTURES:
        (_, traced), (_, ruled), _ = both(name)
        named |= {k for k in {*traced, *ruled} if traced[k] != ruled[k]}
    assert named == set(OTHERWISE)
    assert len(ARCHITECTURES) >= 20
