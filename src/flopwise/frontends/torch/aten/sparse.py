"""Products with sparse matrices: each stored element meets a row or column of the other."""

from __future__ import annotations

from typing import Any

import torch

from flopwise.counts import Counts
from flopwise.frontends.torch.aten.steps import Step
from flopwise.rules import Rule

Tensor = torch.Tensor
PRODUCTS = {"matmul", "linear"}


def by_stored(steps: list[Step], outputs: list[Tensor]) -> list[Step]:
    """The steps, products among them by the elements that are stored."""
    return [_product(step, outputs) for step in steps]


def _product(step: Step, outputs: list[Tensor]) -> Step:
    operands = [t for t in step.inputs if t is not None]
    at = next((i for i, t in enumerate(operands) if t.layout is not torch.strided), None)
    stored = getattr(operands[at], "stored_elements", None) if at is not None else None
    if at is None or step.op not in PRODUCTS:
        return step
    if stored is None or len(operands) < 2 or operands[1 - at].layout is not torch.strided:
        return Step("unknown", step.inputs, {}, step.outputs)
    result = (step.outputs or tuple(outputs))[0]
    kept = operands[at].shape[1 if step.op == "matmul" and at == 1 else 0]
    columns = result.numel() // kept
    bias = result.numel() if len(operands) > 2 else 0
    counts = Counts(mac=stored * columns, dot=result.numel(), add=bias)
    attrs: dict[str, Any] = {"rule": Rule("sparse product", lambda: counts), "given": {}}
    return Step("custom", step.inputs, attrs, step.outputs)
