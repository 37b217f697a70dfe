"""RNN, LSTM and GRU. Sequence lengths are data: all steps are counted."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.onnx.native import Native, lowers

ACTIVATIONS = {
    "Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "LeakyRelu": "leaky_relu",
    "ThresholdedRelu": "threshold", "HardSigmoid": "hard_sigmoid", "Elu": "elu",
    "Softsign": "softsign", "Softplus": "softplus", "Affine": "fma", "ScaledTanh": "tanh",
}  # fmt: skip

DATA, STEPS, STATE = ("t n i", "t d n h", "d n h")
BATCH_FIRST = ("n t i", "n t d h", "n d h")


@lowers("RNN", "GRU", "LSTM")
def recurrent(
    n: Native, op: str = "", operands: Any = None, weights: str = "W: d g i, R: d g h"
) -> None:
    """Operands: data, W, R, bias, lengths, first hidden state, first cell, peepholes."""
    data, steps, state = BATCH_FIRST if n.integer("layout") else (DATA, STEPS, STATE)
    directions = 2 if n.text("direction", "forward") == "bidirectional" else 1
    results = ", ".join([steps, state, state][: len(n.outputs)])
    pattern = (
        f"{data}, {weights}, bias?: d b, lengths?: n, h0?: {state}, "
        f"c0?: {state}, peephole?: d _ -> {results}"
    )
    names = n.texts("activations")
    n.emit(
        op or n.op.lower(), *(operands or n.inputs), pattern=pattern,
        hidden=n.integer("hidden_size", None), directions=directions,
        coupled=bool(n.integer("input_forget")) or None,
        clip=n.real("clip") or None,
        activations=tuple(ACTIVATIONS.get(a, a) for a in names) or None,
    )  # fmt: skip
