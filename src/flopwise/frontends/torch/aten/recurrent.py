"""Recurrent layers and cells."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.frontends.torch.aten import Step, aten

Tensor = torch.Tensor
SEQUENCE = "t n i -> t n o, s n p, s n h"
BATCH_FIRST = "n t i -> n t o, s n p, s n h"
PACKED = "t i -> t o, _ _ _, _ _ _"


def layer(op: str, data: Tensor, state: Any, params: Any, given: dict[str, Any]) -> Step:
    """A stack of layers; packed sequences count the steps that there are, without padding."""
    per_layer = len(params) // (given["num_layers"] * (1 + given["bidirectional"]))
    projected = per_layer in (3, 5)
    hidden = params[1].shape[0] // {"rnn": 1, "gru": 3, "lstm": 4}[op]
    attrs: dict[str, Any] = {
        "hidden": hidden, "layers": given["num_layers"],
        "directions": 1 + given["bidirectional"], "bias": int(given["has_biases"]),
        "projection": params[per_layer - 1].shape[0] if projected else 0,
    }  # fmt: skip
    if data.dim() == 2:
        attrs["pattern"] = PACKED
    else:
        attrs["pattern"] = BATCH_FIRST if given.get("batch_first") else SEQUENCE
    states = tuple(state) if isinstance(state, (tuple, list)) else (state,)
    return Step(op, (data, *params, *states), attrs)


@aten("lstm.input", "gru.input")
def batched(input: Tensor, hx: Any, params: Any, arguments: dict[str, Any]) -> Step:
    return layer("lstm" if isinstance(hx, (list, tuple)) else "gru", input, hx, params, arguments)


@aten("lstm.data", "gru.data")
def packed(data: Tensor, hx: Any, params: Any, arguments: dict[str, Any]) -> Step:
    return layer("lstm" if isinstance(hx, (list, tuple)) else "gru", data, hx, params, arguments)


@aten("rnn_tanh.input", "rnn_tanh.data", "rnn_relu.input", "rnn_relu.data")
def simple(input: Any, data: Any, hx: Any, params: Any, arguments: dict[str, Any]) -> Step:
    return layer("rnn", input if data is None else data, hx, params, arguments)


@aten("quantized_lstm", "quantized_gru")
def of_cells(
    input: Any, data: Any, hx: Any, params: Any, arguments: dict[str, Any], outputs: list[Tensor]
) -> Step:
    """Packed cells, whose tensors are in the order of those that are not packed."""
    order = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    plain = [cell.tensors[name] for cell in params for name in order if name in cell.tensors]
    op = "lstm" if len(outputs) == 3 else "gru"
    return layer(op, input if data is None else data, hx, plain, arguments)


@aten("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def cell(input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any) -> Step:
    hidden = w_hh.shape[1]
    op = {4: "lstm_cell", 3: "gru_cell", 1: "rnn_cell"}[w_hh.shape[0] // hidden]
    states = tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)
    attrs = {"hidden": hidden, "bias": int(b_ih is not None)}
    weights = (w for w in (w_ih, w_hh, b_ih, b_hh) if w is not None)
    return Step(op, (input, *weights, *states), attrs)
