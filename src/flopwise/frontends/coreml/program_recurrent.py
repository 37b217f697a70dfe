"""Recurrent operations of MIL: time first, one operation for either or both directions."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.coreml.native import Native, lowers
from flopwise.graph import Tensor

FUNCTIONS = {"hard_sigmoid": "hard_sigmoid", "scaled_tanh": "scaled_tanh", "linear": "affine"}


def functions(n: Native, *names: str) -> tuple[str, ...]:
    """The activations by their parameters; the usual ones where they are left out."""
    usual = {"recurrent_activation": "sigmoid"}
    texts = [n.text(name, usual.get(name, "tanh")).lower() for name in names]
    return tuple(FUNCTIONS.get(t, t) for t in texts)


@lowers("rnn", "gru", "lstm")
def recurrent(n: Native) -> None:
    attrs: dict[str, Any] = {"biases": 1}
    if n.op == "lstm":
        attrs["activations"] = functions(n, "recurrent_activation", "cell_activation", "activation")
        attrs["cell_clip"] = n.maybe("clip") is not None
    elif n.op == "gru":
        attrs["activations"] = functions(n, "recurrent_activation", "activation")
    else:
        attrs["activations"] = functions(n, "activation")
    if n.text("direction", "forward") == "bidirectional":
        _both(n, attrs)
    else:
        _one(n, attrs, "", "")


def _one(n: Native, attrs: dict[str, Any], side: str, part: str) -> Tensor:
    """One direction. The whole sequence comes out, or its last step."""
    weights = [n.maybe(f"{name}{side}") for name in ("weight_ih", "weight_hh", "bias", "peephole")]
    width = n.given(f"weight_hh{side}").sizes[1]
    steps = "t" if n.flag("output_sequence") else "1"
    state = "n h, n h" if n.op == "lstm" else "n h"
    pattern = f"t n i, _: g i, _: g h, bias?: _, peephole?: *_ -> {steps} n h, {state}"
    return n.emit(n.op, n.given("x"), *weights, part=part, hidden=width, pattern=pattern, **attrs)


def _both(n: Native, attrs: dict[str, Any]) -> None:
    """Forward and backward, then side by side; the last states likewise."""
    sides = [_one(n, attrs, side, part) for side, part in (("", "forward"), ("_back", "backward"))]
    n.emit("concat", *sides, axis=-1, to=n.outputs[:1])
    for i, state in enumerate(n.outputs[1:]):
        last = [n.emit("select", s, part=f"state {i}", axis=0) for s in sides]
        n.emit("concat", *last, axis=-1, to=(state,))
