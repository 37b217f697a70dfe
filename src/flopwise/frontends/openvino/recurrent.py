"""Recurrent layers of OpenVINO: sequences have the batch first, directions second."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.openvino.native import Native, lowers

KINDS = {"RNN": "rnn", "LSTM": "lstm", "GRU": "gru"}
FUNCTIONS = {"hardsigmoid": "hard_sigmoid", "softsign": "softsign", "softplus": "softplus"}


def functions(n: Native) -> dict[str, Any]:
    """The activations, where the layer names them."""
    names = [a.strip().lower() for a in n.text("activations").split(",") if a.strip()]
    attrs: dict[str, Any] = {"clip": float(n.text("clip", "0") or 0)}
    return attrs | ({"activations": tuple(FUNCTIONS.get(a, a) for a in names)} if names else {})


@lowers("RNNSequence", "LSTMSequence", "GRUSequence")
def sequence(n: Native) -> None:
    """Operands: data, state (and cell), lengths, weights of the data, of the state, biases."""
    kind = n.kind.removesuffix("Sequence")
    states = "_: n d h, _: n d h" if kind == "LSTM" else "_: n d h"
    results = "n d t h, n d h, n d h" if kind == "LSTM" else "n d t h, n d h"
    pattern = f"n t i, {states}, _: n, _: d g i, _: d g h, bias?: _ _ -> {results}"
    directions = 2 if n.text("direction").lower() == "bidirectional" else 1
    n.emit(
        KINDS[kind], *n.inputs, pattern=pattern, hidden=n.integer("hidden_size"), biases=1,
        directions=directions, **functions(n),
    )  # fmt: skip


@lowers("RNNCell", "LSTMCell", "GRUCell")
def cell(n: Native) -> None:
    """Operands: data, state (and cell), weights of the data, of the state, biases."""
    kind = n.kind.removesuffix("Cell")
    states, results = ("_: n h, _: n h", "n h, n h") if kind == "LSTM" else ("_: n h", "n h")
    count = 6 if kind == "LSTM" else 5
    pattern = f"n i, {states}, _: g i, _: g h, bias?: _ -> {results}"
    hidden = n.integer("hidden_size")
    n.emit(
        f"{KINDS[kind]}_cell", *n.inputs[:count], pattern=pattern, hidden=hidden, biases=1,
        **functions(n),
    )  # fmt: skip
