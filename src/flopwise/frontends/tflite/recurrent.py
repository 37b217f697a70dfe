"""Recurrent operators of TFLite: the weights of each gate are an operand of their own.

States lie in variables, which are left out: they are no operands of ours.
"""

from __future__ import annotations

from flopwise.frontends.tflite.native import FUSED, Native, lowers
from flopwise.graph import Tensor

# input-to-gate (4), state-to-gate (4), cell-to-gate (3), bias (4), projection and its bias
GATES = (
    "_?: h i, _: h i, _: h i, _: h i, _?: h p, _: h p, _: h p, _: h p,"
    " _?: h, peephole?: h, _?: h, _?: h, bias?: h, _?: h, _?: h, _?: p h, _?: p"
)


def activation(n: Native, default: str = "identity") -> str:
    return FUSED.get(n.option("fused"), default)


def time_first(n: Native) -> str:
    return "t n i" if n.option("time_major") else "n t i"


@lowers("RNN", "UNIDIRECTIONAL_SEQUENCE_RNN")
def rnn(n: Native) -> None:
    data = "n i" if n.op == "RNN" else time_first(n)
    _rnn(n, data, n.inputs[:4], "")


def _rnn(n: Native, data: str, operands: tuple[Tensor | None, ...], part: str) -> Tensor:
    pattern = f"{data}, _: h i, _: h p, bias?: h -> {data.replace('i', 'h')}"
    op = "rnn" if "t" in data else "rnn_cell"
    cell = (activation(n),)
    return n.emit(
        op, *operands, part=part, fused=False, pattern=pattern, biases=1, activations=cell
    )


@lowers("BIDIRECTIONAL_SEQUENCE_RNN")
def bidirectional_rnn(n: Native) -> None:
    """Of either direction: input and state weights, bias, state. Then a second input."""
    if n.input(9) is not None:
        n.unknown()
        return
    x, data = n.given(0), time_first(n)
    sides = ((x, *n.inputs[1:4]), (x, *n.inputs[5:8]))
    _joined(n, [_rnn(n, data, s, p) for s, p in zip(sides, ("forward", "backward"))])


def _joined(n: Native, made: list[Tensor]) -> None:
    """Both directions side by side, or each a result."""
    if n.option("merge_outputs") or len(n.outputs) < 2:
        n.emit("concat", *made, axis=-1, fused=False)
        return
    for tensor, output in zip(made, n.outputs):
        n.emit("identity", tensor, to=(output,), fused=False)


@lowers("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM")
def lstm(n: Native) -> None:
    if n.option("kernel_type") == 1:
        _basic_lstm(n)
        return
    data = "n i" if n.op == "LSTM" else time_first(n)
    if n.option("diagonal"):
        n.unknown()
        return
    norms = n.inputs[20:24]
    made = _lstm(n, data, n.inputs[:18], norms, n.stated(6)[-1], "gates")
    n.emit("identity", made, to=n.outputs[-1:], fused=False)


def _lstm(
    n: Native, data: str, operands: tuple[Tensor | None, ...], norms: tuple[Tensor | None, ...],
    state: int, part: str,
) -> Tensor:  # fmt: skip
    """Without input gate its weights are absent: it is 1 - the forget gate."""
    operands = (*operands, *(None,) * (18 - len(operands)))
    projected, cell = operands[16] is not None, activation(n)
    made = n.emit(
        "lstm" if "t" in data else "lstm_cell", *operands, *norms, part=part, fused=False,
        pattern=f"{data}, {GATES} -> {data.replace('i', 'p')}", biases=1,
        projection=state if projected else 0, coupled=operands[1] is None,
        cell_clip=n.option("cell_clip"), layer_norm=any(t is not None for t in norms),
        activations=("sigmoid", cell, cell),
    )  # fmt: skip
    if operands[17] is not None:
        made = n.emit("add", made, operands[17], part=f"{part}/bias")
    return n.emit("clip", made, part=f"{part}/clip") if n.option("proj_clip") else made


def _basic_lstm(n: Native) -> None:
    """One matrix for all gates, of the data and the state side by side."""
    x, state, weight, bias, cell = n.inputs[:5]
    joined = n.emit("concat", x, state, part="concat", axis=-1)
    gates = n.emit("linear", joined, weight, bias, part="gates")
    hidden = n.stated(2)[0] // 4
    parts = [n.emit("slice", gates, part=f"gate {g}", axes=(1,), starts=(g * hidden,),
                    ends=((g + 1) * hidden,)) for g in range(4)]  # fmt: skip
    i, g, f, o = (
        n.emit(op, t, part=f"{op} {k}")
        for k, (op, t) in enumerate(zip(("sigmoid", "tanh", "sigmoid", "sigmoid"), parts))
    )
    kept, new = n.emit("mul", f, cell, part="kept"), n.emit("mul", i, g, part="new")
    total = n.emit("add", kept, new, to=n.outputs[1:2], fused=False)
    n.emit("mul", o, n.emit("tanh", total, part="tanh"), to=n.outputs[:1], fused=False)


@lowers("BIDIRECTIONAL_SEQUENCE_LSTM")
def bidirectional_lstm(n: Native) -> None:
    """17 weights of either direction; a second input comes after the states."""
    if n.input(39) is not None:
        n.unknown()
        return
    x, data = n.given(0), time_first(n)
    forward = _lstm(n, data, (x, *n.inputs[1:18]), (), n.stated(6)[-1], "forward")
    backward = _lstm(n, data, (x, *n.inputs[18:35]), (), n.stated(23)[-1], "backward")
    _joined(n, [forward, backward])


@lowers("SVDF")
def svdf(n: Native) -> None:
    """Operands: data, weights of features, weights of time, bias, state."""
    rank = max(n.option("rank"), 1)
    n.emit("svdf", *n.inputs[:4], rank=rank)
