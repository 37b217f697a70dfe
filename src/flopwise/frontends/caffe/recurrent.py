"""Caffe's LSTM and RNN layers: one sequence at a time, weights of all gates in one blob."""

from __future__ import annotations

from flopwise.frontends.caffe.net import Emit
from flopwise.frontends.caffe.text import Layer
from flopwise.graph import Tensor

STEPS = "t n i, markers?: t n, static?: n e, W: g i, bias?: g, S?: g e, R: g h -> t n h"


def recurrent(emit: Emit, layer: Layer, x: list[Tensor]) -> None:
    """Steps x batch x features, markers of where sequences go on, and maybe an input that
    stays the same. One bias; an RNN has an output layer of its own."""
    p = layer.sub("recurrent_param")
    if p.flag("expose_hidden", False):
        emit("unknown", *x, tops=0)
        return
    hidden, static = p.number("num_output"), x[2] if len(x) > 2 else None
    data = emit("flatten", x[0], part="data", axis=2)
    static = emit("flatten", static, part="static", axis=1) if static is not None else None
    weights: list[Tensor | None] = [emit.weight("input"), emit.weight("bias")]
    weights += [emit.weight("static") if static is not None else None, emit.weight("hidden")]
    operands = (data, x[1] if len(x) > 1 else None, static, *weights)
    if layer.type == "LSTM":
        emit("lstm", *operands, pattern=STEPS, hidden=hidden, biases=1)
        return
    state = emit("rnn", *operands, pattern=STEPS, hidden=hidden, biases=1, part="state")
    readout = emit.weight("output"), emit.weight("output_bias")
    emit("tanh", emit("linear", state, *readout, o=hidden, part="output"))
