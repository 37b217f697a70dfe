"""Recurrent layers of Keras, and layers around layers."""

from __future__ import annotations

from typing import Any

from flopwise.frontends.keras.native import LOWERINGS, Native, activation, lowers
from flopwise.graph import Tensor

OPS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn", "CuDNNLSTM": "lstm", "CuDNNGRU": "gru"}
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
EACH = {"Dense", "Activation", "Dropout", "ReLU", "LayerNormalization", "Embedding"}


@lowers(*OPS)
def recurrent(n: Native) -> None:
    """Operands: data, then states to begin with."""
    if n.flag("time_major"):
        n.unknown()
        return
    run(n, n.config, "", bool(n.config.get("return_sequences")))
    if n.flag("return_state"):
        _states(n)


def _states(n: Native) -> None:
    """The last states are results too, of the size of a step."""
    for _ in range(2 if OPS[n.kind] == "lstm" else 1):
        whole = n.made[0]
        if n.flag("return_sequences"):
            n.emit("select", whole, axis=1)
        else:
            n.emit("identity", whole)


def run(n: Native, config: Any, part: str, sequence: bool) -> Tensor:
    """One direction. The whole sequence comes out, or its last step."""
    kind = n.kind if n.kind in OPS else str(n.config["layer"]["class_name"])
    op, h = OPS[kind], int(config["units"])
    biased, after = bool(config.get("use_bias", True)), kind == "CuDNNGRU"
    after = after or (op == "gru" and bool(config.get("reset_after", False)))
    bias = None
    if biased:
        shape = (2, GATES[op] * h) if after else None
        bias = n.weight("bias", shape, part=part)
    weights = n.weight("kernel", part=part), n.weight("recurrent_kernel", part=part), bias
    width = "_ _" if after else "b"
    pattern = f"n t i, _: i g, _: h g, bias?: {width} -> {'n t h' if sequence else 'n h'}"
    inner = activation(config.get("activation", "tanh"))
    gate = activation(config.get("recurrent_activation", "sigmoid"))
    names = {"lstm": (gate, inner, inner), "gru": (gate, inner), "rnn": (inner,)}[op]
    activations = tuple("identity" if a == "linear" else a for a in names)
    return n.emit(
        op, n.inputs[0], *weights, part=part, pattern=pattern, hidden=h,
        biases=2 if after else 1, activations=activations,
    )  # fmt: skip


MERGES = {"sum": "add", "mul": "mul", "ave": "add"}


@lowers("Bidirectional")
def bidirectional(n: Native) -> None:
    """Forward and backward, merged."""
    inner = n.config["layer"]
    if inner["class_name"] not in OPS or inner["config"].get("return_state"):
        n.unknown()
        return
    config, mode = inner["config"], n.config.get("merge_mode", "concat")
    sequence = bool(config.get("return_sequences"))
    sides = [run(n, config, part, sequence) for part in ("forward", "backward")]
    if mode == "concat":
        n.emit("concat", *sides, axis=-1)
    elif mode is None:
        n.made += sides
    elif mode == "ave":
        n.emit("mul", n.emit("add", *sides, part="sum"))
    else:
        n.emit(MERGES[mode], *sides)


@lowers("TimeDistributed")
def time_distributed(n: Native) -> None:
    """Layers that act on the last axis act on each step as they are."""
    inner = n.config["layer"]
    if inner["class_name"] not in EACH:
        n.unknown()
        return
    path = (*n.path, str(inner["config"].get("name", "layer")))
    each = Native(n.model, inner["class_name"], inner["config"], inner, path, n.inputs, n.again)
    LOWERINGS[inner["class_name"]](each)
    n.made += each.made
