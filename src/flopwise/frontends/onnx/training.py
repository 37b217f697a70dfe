"""Optimisers of ai.onnx.preview.training: rate, step, then parameters, gradients, state."""

from __future__ import annotations

from flopwise.frontends.onnx.native import Native, lowers

DOMAIN = "ai.onnx.preview.training"
STATES = {"Adagrad": 1, "Momentum": 1, "Adam": 2}


@lowers(*STATES, domain=DOMAIN)
def optimizer(n: Native) -> None:
    """One update per parameter tensor; outputs are new parameters, then new state."""
    tensors, groups = n.inputs[2:], 2 + STATES[n.op]
    count = len(tensors) // groups
    for i in range(count):
        operands = tensors[i::count]
        outputs = n.outputs[i::count]
        mode = n.text("mode") or None
        n.emit(n.op.lower(), *operands, outputs=outputs, mode=mode)
